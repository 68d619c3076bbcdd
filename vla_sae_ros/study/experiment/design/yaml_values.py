"""YAML mappings into frozen dataclasses: an unknown key, a missing one or a wrong type is refused.

Types that are read: bool, int, float, str, Path, another dataclass, tuple[T, ...] from a list,
dict[int, str] from a mapping, each perhaps `| None`. Ranges and choices are the dataclasses' own:
their __post_init__ refuses with `refuse`.
"""

from __future__ import annotations

import difflib
import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, NoReturn

from vla_sae_ros.core.errors import ConfigurationError, complaint

_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
}


def refuse(key: str, got: object, allowed: object, next_step: str = "") -> NoReturn:
    """Raise the ConfigurationError of a key."""
    raise ConfigurationError(complaint(f"`{key}`", got, allowed, next_step))


def one_of(key: str, got: str, allowed: tuple[str, ...]) -> None:
    """Refuse a key that is none of the allowed words."""
    if got not in allowed:
        refuse(key, got, ", ".join(allowed))


def at_least(key: str, got: int, least: int) -> None:
    """Refuse a key that is smaller."""
    if got < least:
        refuse(key, got, f"{least} or more")


def build[T](cls: type[T], entry: Any, where: str = "") -> T:
    """Return the dataclass `cls` of a mapping.

    Raises:
        ConfigurationError: naming the key, by its place `where`, and what is allowed.
    """
    known = {one.name: one for one in fields(typing.cast(Any, cls)) if one.init}
    if not isinstance(entry, dict):
        refuse(where or "the study", entry, f"a mapping with {', '.join(map(_key, known))}")
    given = {"first" if key == "from" else str(key): value for key, value in entry.items()}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            advice = f"Did you mean `{_key(near[0])}`?" if near else ""
            refuse(
                _join(where, name), given[name], f"the keys {', '.join(map(_key, known))}", advice
            )
    hints = typing.get_type_hints(cls)
    values = {
        name: _value(hints[name], value, _join(where, _key(name))) for name, value in given.items()
    }
    for name, one in known.items():
        if one.default is MISSING and one.default_factory is MISSING and name not in given:
            refuse(_join(where, _key(name)), None, "this key is needed")
    try:
        return cls(**values)
    except ConfigurationError as error:
        if where and where not in str(error):
            raise ConfigurationError(f"in `{where}`: {error}") from error
        raise


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        inner = next(one for one in arguments if one is not type(None))
        return None if value is None else _value(inner, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            refuse(where, value, "a list")
        return tuple(_value(arguments[0], each, f"{where}[{i}]") for i, each in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            refuse(where, value, "a mapping")
        return {
            _value(arguments[0], k, where): _value(arguments[1], v, where) for k, v in value.items()
        }
    if is_dataclass(hint):
        return build(typing.cast(Any, hint), value, where)
    return _scalar(hint, value, where)


def _scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        refuse(where, value, _WORDS[hint])
    return value


def _key(name: str) -> str:
    return "from" if name == "first" else name  # a word of Python's own


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
