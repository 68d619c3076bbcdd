"""The metadata.yaml of a bag, as far as it can be read: the messages do not depend on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import yaml

from vla_sae_ros.bags.storage.findings import Findings

NAME = "metadata.yaml"
_MAX_BYTES = 16 * 2**20
_MAX_TEXT = 2000


@dataclass(frozen=True)
class Metadata:
    """What metadata.yaml says; empty where it says nothing or cannot be read."""

    hashes: Mapping[str, str] = field(default_factory=dict)
    """Message type -> RIHS01 hash."""
    topics: frozenset[str] = frozenset()
    files: tuple[str, ...] = ()
    """Names within the bag's folder."""
    messages: int | None = None
    custom: Mapping[str, str] = field(default_factory=dict)
    compression_mode: str = ""
    """"file", "message" or empty."""


def read_metadata(folder: Path, findings: Findings) -> Metadata:
    """Read metadata.yaml; what is wrong with it goes to the findings."""
    path = folder / NAME
    if not path.exists():
        findings.damage(
            f"{NAME} is missing: the recording still runs, or its recorder was killed "
            "(`vla-sae bag repair` makes a complete bag of it)"
        )
        return Metadata()
    try:
        return _parse(path)
    except Exception as error:  # whatever a parser meets in any bytes
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        findings.damage(f"{NAME} cannot be read, the messages can: {said}")
        return Metadata()


def _parse(path: Path) -> Metadata:
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"it has {path.stat().st_size} bytes")
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    told = content["rosbag2_bagfile_information"]
    topics = dict(_topics(told))
    custom = told.get("custom_data") or {}
    count = told.get("message_count")
    return Metadata(
        {kind: digest for kind, digest in topics.values() if kind and digest},
        frozenset(topics),
        tuple(PurePath(each).name for each in _texts(told.get("relative_file_paths"))),
        count if isinstance(count, int) else None,
        {str(key): value[:_MAX_TEXT] for key, value in custom.items() if isinstance(value, str)},
        str(told.get("compression_mode") or "").lower(),
    )


def _topics(told: Any) -> Iterator[tuple[str, tuple[str, str]]]:
    for each in told.get("topics_with_message_count") or ():
        topic = each["topic_metadata"]
        digest = topic.get("type_description_hash") or ""
        yield str(topic["name"]), (str(topic["type"]), str(digest).strip())


def _texts(value: Any) -> list[str]:
    return [each for each in value or () if isinstance(each, str)]
