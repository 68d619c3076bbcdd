"""YAML mappings into frozen dataclasses: an unknown key, a missing one or a wrong type is refused.

Types that are read: bool, int, float, str, Path, an enum (by its name in small letters), a Literal
of texts, another dataclass, tuple[T, ...] and tuple[T, U] from a list, dict[K, T] from a mapping,
each perhaps `| None`; and Any, plain Python. A value is taken as it stands or refused: "false" in
quotes is no false, 1.5 is no whole number. Ranges and choices are the dataclasses' own: their
__post_init__ refuses.
"""

from __future__ import annotations

import difflib
import enum
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, NoReturn

from vla_sae_ros.core.errors import ConfigurationError, VlaSaeError, complaint
from vla_sae_ros.core.yaml_document import YamlList, YamlMapping, YamlNode, YamlScalar

_WORDS: dict[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text; put it in quotes where it could be read as a number, a date or true or false",
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


def read_settings[T](cls: type[T], node: YamlNode, what: str) -> T:
    """Return the dataclass `cls` of a mapping.

    Args:
        what: the whole, in words ("the study"), for a message about the whole.

    Raises:
        ConfigurationError: naming the line, the key by its place, and what is allowed.
    """
    return _mapping(cls, node, "", what)


def key_of(one: Field[Any]) -> str:
    """Return what a field is called in the file: metadata "key" where Python forbids the name."""
    return str(one.metadata.get("key", one.name))


def _mapping[T](cls: type[T], node: YamlNode, where: str, what: str = "") -> T:
    known = {key_of(one): one for one in fields(typing.cast(Any, cls)) if one.init}
    if not isinstance(node, YamlMapping):
        _refuse(node, where or what, f"a mapping with {', '.join(known)}")
    for key in node.entries:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            advice = f"Did you mean `{near[0]}`?" if near else ""
            _refuse(node.keys[key], _join(where, key), f"the keys {', '.join(known)}", advice)
    hints = typing.get_type_hints(cls)
    values = {
        known[key].name: _value(hints[known[key].name], item, _join(where, key))
        for key, item in node.entries.items()
    }
    for key, one in known.items():
        if one.default is MISSING and one.default_factory is MISSING and key not in node.entries:
            raise ConfigurationError(
                f"line {node.line}: `{_join(where, key)}` is missing, but required."
            )
    try:
        return cls(**values)
    except VlaSaeError as error:
        inside = f" in `{where}`" if where and where not in str(error) else ""
        raise ConfigurationError(f"line {node.line}:{inside} {error}") from error


def _value(hint: Any, node: YamlNode, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        inner = next(one for one in arguments if one is not type(None))
        is_null = isinstance(node, YamlScalar) and node.is_null
        return None if is_null else _value(inner, node, where)
    if hint is Any:
        return node.value()
    if origin is tuple:
        return _tuple(arguments, node, where)
    if origin in (dict, Mapping):
        if not isinstance(node, YamlMapping):
            _refuse(node, where, "a mapping")
        return {
            _value(arguments[0], node.keys[key], f"{where}, a key"): _value(
                arguments[1], item, _join(where, key)
            )
            for key, item in node.entries.items()
        }
    if is_dataclass(hint):
        return _mapping(typing.cast(Any, hint), node, where)
    return _scalar(hint, node, where)


def _tuple(arguments: tuple[Any, ...], node: YamlNode, where: str) -> tuple[Any, ...]:
    if not isinstance(node, YamlList):
        _refuse(node, where, "a list")
    if arguments[-1] is Ellipsis:
        kinds = arguments[:1] * len(node.items)
    else:
        kinds = arguments
        if len(node.items) != len(kinds):
            _refuse(node, where, f"a list of {len(kinds)}")
    return tuple(
        _value(kind, item, f"{where}[{i}]")
        for i, (kind, item) in enumerate(zip(kinds, node.items, strict=True))
    )


def _scalar(hint: Any, node: YamlNode, where: str) -> Any:
    words = _words(hint)
    if not isinstance(node, YamlScalar):
        _refuse(node, where, words)
    value: object
    if hint is bool:
        value = node.bool()
    elif hint is int:
        value = node.integer()
    elif hint is float:
        value = node.real()
    else:
        value = node.string()
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            value = {member.name.lower(): member for member in hint}.get(str(value))
        elif typing.get_origin(hint) is typing.Literal:
            value = value if value in typing.get_args(hint) else None
        elif hint is Path and value is not None:
            value = Path(str(value))
    if value is None:
        _refuse(node, where, words)
    return value


def _words(hint: Any) -> str:
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return ", ".join(member.name.lower() for member in hint)
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(typing.get_args(hint))
    return _WORDS[hint]


def _refuse(node: YamlNode, where: str, allowed: str, next_step: str = "") -> NoReturn:
    raise ConfigurationError(
        f"line {node.line}: {complaint(f'`{where}`', _shown(node), allowed, next_step)}"
    )


def _shown(node: YamlNode) -> object:
    """Return what stands in the file, short."""
    if isinstance(node, YamlScalar):
        return node.text if len(node.text) <= 80 else node.text[:79] + "…"
    if isinstance(node, YamlList):
        return f"a list of {len(node.items)}"
    return f"a mapping with {', '.join(list(node.entries)[:12])}"


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
