"""Message types by name: their Python class, their definition with all dependencies, their hash."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from vla_sae_ros.core.errors import RecordingError, complaint

_PRIMITIVES = frozenset(
    {"bool", "byte", "char", "float32", "float64", "string", "wstring"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
_SEPARATOR = "=" * 80


@dataclass(frozen=True)
class MessageDefinition:
    """What a bag needs to explain one message type without any ROS installation."""

    msgtype: str  # e.g. "std_msgs/msg/Header"
    text: str  # the .msg file followed by those of all its dependencies, as rosbag2 writes them
    rihs01: str  # type hash, "RIHS01_..." (REP 2011)


@cache
def definition_of(msgtype: str) -> MessageDefinition:
    """Return the installed definition of `msgtype`; RecordingError when it is not installed."""
    parts = [_read(msgtype, ".msg")]
    seen = {msgtype}
    waiting = _dependencies(parts[0], msgtype)
    while waiting:
        dependency = waiting.pop(0)
        if dependency in seen:
            continue
        seen.add(dependency)
        text = _read(dependency, ".msg")
        package, _, name = dependency.split("/")
        parts.append(f"{_SEPARATOR}\nMSG: {package}/{name}\n{text}")
        waiting.extend(_dependencies(text, dependency))
    joined = "\n".join(part.rstrip("\n") for part in parts) + "\n"
    return MessageDefinition(msgtype, joined, _hash_of(msgtype))


def message_class(msgtype: str) -> Any:
    """Return the Python class of "package/msg/Name"; RecordingError when it is not installed."""
    package, kind, name = _split(msgtype)
    try:
        return getattr(import_module(f"{package}.{kind}"), name)
    except (ImportError, AttributeError) as error:
        raise RecordingError(
            complaint(
                "unknown message type",
                msgtype,
                "a type installed on this machine",
                "Build or source the package that defines it.",
            )
        ) from error


def _split(msgtype: str) -> tuple[str, str, str]:
    parts = msgtype.split("/")
    if len(parts) != 3 or parts[1] != "msg":
        raise RecordingError(
            complaint(
                "not a message type",
                msgtype,
                "package/msg/Name",
                "Service and action types cannot be recorded.",
            )
        )
    return parts[0], parts[1], parts[2]


def _read(msgtype: str, suffix: str) -> str:
    package, kind, name = _split(msgtype)
    try:
        share = Path(get_package_share_directory(package))
        return (share / kind / f"{name}{suffix}").read_text(encoding="utf-8")
    except (PackageNotFoundError, OSError) as error:
        raise RecordingError(
            complaint(
                "no message definition installed",
                msgtype,
                f"a type with its {suffix} file",
                "Build or source the package that defines it.",
            )
        ) from error


def _hash_of(msgtype: str) -> str:
    description = json.loads(_read(msgtype, ".json"))
    return next(
        entry["hash_string"]
        for entry in description["type_hashes"]
        if entry["type_name"] == msgtype
    )


def _dependencies(text: str, msgtype: str) -> list[str]:
    """Return the message types that the fields of a .msg text use, in order of appearance."""
    package = msgtype.split("/")[0]
    found = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if len(words) < 2:
            continue
        base = words[0].split("[", 1)[0].split("<=", 1)[0]
        if base in _PRIMITIVES:
            continue
        owner, _, name = base.rpartition("/")
        found.append(f"{owner or package}/msg/{name}")
    return found
