"""`vla-sae bag repair`: a readable bag from one whose recorder was killed, or that is damaged."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from rosbags.interfaces import Connection, ConnectionExtRosbag2
from rosbags.rosbag2 import StoragePlugin, Writer

from vla_sae_ros.bags.opened_bag import ODD_TEXT, open_bag
from vla_sae_ros.bags.storage.findings import LEFT_OUT_STATUS, Findings
from vla_sae_ros.bags.storage.mcap_bag import McapBag
from vla_sae_ros.bags.storage.metadata import NAME, Metadata, read_metadata
from vla_sae_ros.bags.storage.recorded_types import RecordedType
from vla_sae_ros.core.errors import RecordingError, complaint
from vla_sae_ros.core.one_line import printable

REPAIRED_FROM = "vla_sae_ros.repaired_from"
"""Key in the custom data of a repaired bag's metadata: the folder of the original."""


@dataclass
class Repair:
    """What a repair has found."""

    output: Path
    counts: dict[str, int] = field(default_factory=dict)
    """Topic -> messages recovered."""
    findings: Findings = field(default_factory=Findings)
    """What is lost, and what was changed."""
    first_ns: int = 0
    """Time of reception of the first message."""
    last_ns: int = 0
    """Time of reception of the last message."""
    written_until_ns: int = 0
    """When the original was last written to."""

    @property
    def messages(self) -> int:
        """Messages recovered."""
        return sum(self.counts.values())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the bag and where the repaired one goes."""
    parser.add_argument("bag", type=Path, help="folder of the bag, or its .mcap file")
    parser.add_argument("--output", type=Path, help="default: <bag>_repaired; must not exist")


def run(args: argparse.Namespace) -> int:
    """Repair and say what came of it; the status tells whether anything was lost."""
    if is_complete(args.bag):
        return _tell_complete(args.bag)
    output = args.output or args.bag.with_name(f"{args.bag.stem}_repaired")
    result = repair(args.bag, output)
    print(in_words(result))
    return result.findings.status


def _tell_complete(bag: Path) -> int:
    """Say that a bag is complete, and what of it still nobody can use; return the status."""
    with open_bag(bag) as opened:
        for _ in opened.decoded(opened.connections):
            pass
        unusable = list(opened.findings.in_words()) if not opened.findings.whole else []
    if not unusable:
        print(f"{bag} is complete: there is nothing to repair.")
        return 0
    print(
        f"{bag} is complete, every message is as it was sent. These messages cannot be used, and a "
        "repair cannot change that:"
    )
    print("\n".join(unusable))
    return LEFT_OUT_STATUS


def is_complete(bag: Path) -> bool:
    """Say whether a bag was closed, and every message in it can be decoded as it is."""
    if not bag.is_dir() or not (bag / NAME).exists():
        return False
    with open_bag(bag) as opened:
        for connection, _, raw in opened.messages():
            kind = opened.type_of(connection)
            if isinstance(kind, str) or _decoded(kind, raw) != raw:
                return False
        return opened.findings.whole


def repair(bag: Path, output: Path) -> Repair:
    """Copy every message of `bag` that can be decoded into a new bag; the original is left alone.

    Of messages, their bytes, topic, type, QoS and time of reception are kept; a text that is no
    UTF-8 gets question marks, so that other tools can read it.

    Raises RecordingError when there is no MCAP file or `output` exists already.
    """
    files = _files(bag)
    if output.exists():
        raise RecordingError(
            complaint(
                "the repaired bag's folder exists already",
                str(output),
                "a new folder",
                "Name another with --output.",
            )
        )
    result = Repair(output)
    complete = bag.is_dir() and (bag / NAME).exists()
    metadata = read_metadata(bag, result.findings) if complete else Metadata()
    source = McapBag(files, metadata, result.findings)
    with Writer(output, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for key, value in metadata.custom.items():
            writer.set_custom_data(key, value)
        writer.set_custom_data(REPAIRED_FROM, str(bag))
        _copy(source, writer, result)
    source.close()
    result.written_until_ns = max(file.stat().st_mtime_ns for file in files)
    return result


def in_words(result: Repair) -> str:
    """Return what was recovered and what was lost, for people."""
    lines = [f"{count:9} {topic}" for topic, count in sorted(result.counts.items())]
    lines.append(f"{result.messages} messages recovered into {result.output}")
    if result.messages:
        seconds = (result.last_ns - result.first_ns) * 1e-9
        last = datetime.fromtimestamp(result.last_ns * 1e-9)
        missing = max(0.0, (result.written_until_ns - result.last_ns) * 1e-9)
        lines.append(
            f"the last one came {seconds:.3f} s after the first, at {last:%H:%M:%S.%f}; "
            f"the file was last written to {missing:.3f} s later"
        )
    lines += [f"lost: {line}" for line in result.findings.lost()]
    lines += [f"changed: {line}" for line in result.findings.changed()]
    lines += [f"note: {line}" for line in result.findings.notes]
    if result.findings.whole:
        lines.append(
            "every message in the file was complete; what its recorder still held in memory is lost"
        )
    return "\n".join(printable(line) for line in lines)


def _files(bag: Path) -> list[Path]:
    files = sorted(bag.glob("*.mcap")) if bag.is_dir() else [bag]
    if not files or not all(file.is_file() for file in files):
        raise RecordingError(
            complaint("nothing to repair", str(bag), "a folder with an .mcap file")
        )
    return files


def _decoded(kind: RecordedType, raw: bytes) -> bytes | None:
    """Return the bytes that a message was read from; None when it is none."""
    try:
        return kind.read(raw)[1]
    except RecordingError:
        return None


def _copy(source: McapBag, writer: Writer, result: Repair) -> None:
    made = {
        each.id: _announced(writer, each)
        for each in source.connections
        if not isinstance(source.types[each.id], str)
    }
    for connection, received, raw, key in source.messages(source.connections):
        kind = source.types[connection.id]
        if isinstance(kind, str):
            result.findings.leave_out(connection.topic, kind, key)
            continue
        clean = _decoded(kind, raw)
        if clean is None:
            result.findings.leave_out(connection.topic, "cut off or damaged", key)
            continue
        if clean != raw:
            result.findings.change(connection.topic, ODD_TEXT, key)
        writer.write(made[connection.id], received, clean)
        _count(result, connection.topic, received)


def _announced(writer: Writer, connection: Connection) -> Connection:
    extra = connection.ext
    assert isinstance(extra, ConnectionExtRosbag2), "of a rosbag2"
    return writer.add_connection(
        connection.topic,
        connection.msgtype,
        msgdef=connection.msgdef.data,
        rihs01=connection.digest,
        serialization_format=extra.serialization_format,
        offered_qos_profiles=extra.offered_qos_profiles,
    )


def _count(result: Repair, topic: str, received: int) -> None:
    result.counts[topic] = result.counts.get(topic, 0) + 1
    result.first_ns = min(result.first_ns or received, received)
    result.last_ns = max(result.last_ns, received)
