"""`vla-sae bag repair`: a readable bag from one whose recorder was killed, or that is damaged."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path

from mcap.records import Channel, Message, Schema
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.metadata import parse_qos
from rosbags.typesys import get_types_from_msg
from rosbags.typesys.store import Typestore

from vla_sae_ros.bags.reading import open_bag
from vla_sae_ros.bags.salvage import Damage, salvage
from vla_sae_ros.core.errors import RecordingError, complaint

REPAIRED_FROM = "vla_sae_ros.repaired_from"
"""Key in the custom data of a repaired bag's metadata: the folder of the original."""


@dataclass
class Repair:
    """What a repair has found."""

    output: Path
    counts: dict[str, int] = field(default_factory=dict)
    """Topic -> messages recovered."""
    damages: list[Damage] = field(default_factory=list)
    untyped: int = 0
    """Complete messages whose topic or type was lost."""
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
    """Repair and say what came of it."""
    if is_complete(args.bag):
        print(f"{args.bag} is complete: there is nothing to repair.")
        return 0
    output = args.output or args.bag.with_name(f"{args.bag.stem}_repaired")
    print(in_words(repair(args.bag, output)))
    return 0


def is_complete(bag: Path) -> bool:
    """Say whether a bag was closed and can be opened."""
    try:
        with open_bag(bag):
            return True
    except RecordingError:
        return False


def repair(bag: Path, output: Path) -> Repair:
    """Copy every complete message of `bag` into a new bag; the original is left as it is.

    Of messages, their bytes, topic, type, QoS and time of reception are kept.

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
    with Writer(output, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.set_custom_data(REPAIRED_FROM, str(bag))
        for file in files:
            _copy(file, writer, result)
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
    for damage in result.damages:
        lines.append(f"lost: {damage.size} bytes at {damage.offset}: {damage.reason}")
    if result.untyped:
        lines.append(f"lost: {result.untyped} complete messages whose topic or type was damaged")
    if not result.damages and not result.untyped:
        lines.append(
            "every message in the file was complete; what its recorder still held in memory is lost"
        )
    return "\n".join(lines)


def _files(bag: Path) -> list[Path]:
    files = sorted(bag.glob("*.mcap")) if bag.is_dir() else [bag]
    if not files or not all(file.is_file() for file in files):
        raise RecordingError(
            complaint("nothing to repair", str(bag), "a folder with an .mcap file")
        )
    return files


def _copy(file: Path, writer: Writer, result: Repair) -> None:
    schemas: dict[int, Schema] = {}
    connections: dict[int, Connection | None] = {}
    for piece in salvage(file):
        if isinstance(piece, Damage):
            result.damages.append(piece)
        elif isinstance(piece, Schema):
            schemas[piece.id] = piece
        elif isinstance(piece, Channel):
            if piece.id not in connections:
                connections[piece.id] = _connection(writer, piece, schemas.get(piece.schema_id))
        elif (connection := connections.get(piece.channel_id)) is None:
            result.untyped += 1
        else:
            writer.write(connection, piece.log_time, piece.data)
            _count(result, connection.topic, piece)
    result.written_until_ns = max(result.written_until_ns, file.stat().st_mtime_ns)


def _connection(writer: Writer, channel: Channel, schema: Schema | None) -> Connection | None:
    """Return the new bag's connection for a channel; None when its type or QoS was damaged."""
    if schema is None:
        return None
    try:
        definition = schema.data.decode()
        type_hash = _type_hash(schema.name, definition)
        offered = parse_qos(channel.metadata.get("offered_qos_profiles", ""))
    except Exception:  # whatever a parser meets in damaged text; the messages are counted as lost
        return None
    for known in writer.connections:  # of an earlier file of the same bag
        if (known.topic, known.msgtype) == (channel.topic, schema.name):
            return known
    return writer.add_connection(
        channel.topic,
        schema.name,
        msgdef=definition,
        rihs01=type_hash,
        serialization_format=channel.message_encoding,
        offered_qos_profiles=offered,
    )


@cache
def _type_hash(msgtype: str, definition: str) -> str:
    store = Typestore()
    store.register(get_types_from_msg(definition, msgtype))
    return store.hash_rihs01(msgtype)


def _count(result: Repair, topic: str, message: Message) -> None:
    result.counts[topic] = result.counts.get(topic, 0) + 1
    result.first_ns = min(result.first_ns or message.log_time, message.log_time)
    result.last_ns = max(result.last_ns, message.log_time)
