"""The MCAP files of a bag as one row of messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import zstandard
from mcap.records import Channel, Schema
from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, Qos
from rosbags.interfaces import MessageDefinitionFormat as Format
from rosbags.rosbag2.metadata import parse_qos

from vla_sae_ros.bags.storage.findings import Findings
from vla_sae_ros.bags.storage.message_index import IndexedFile
from vla_sae_ros.bags.storage.metadata import Metadata
from vla_sae_ros.bags.storage.recorded_types import RecordedType, recorded_type
from vla_sae_ros.core.errors import RecordingError

LOST_TOPIC = "an unknown topic"
_NOTHING = MessageDefinition(Format.NONE, "")


class McapBag:
    """Connections, their types and their messages, out of every file that can be read."""

    def __init__(self, files: Collection[Path], metadata: Metadata, findings: Findings) -> None:
        """Read the files once; RecordingError when none of them is an MCAP file."""
        self._metadata, self._findings = metadata, findings
        self.connections: list[Connection] = []
        self.types: dict[int, RecordedType | str] = {}
        """Connection id -> its type, or why its messages cannot be read."""
        self._files = _opened(files, findings)
        self._of_channel: dict[tuple[int, int], Connection] = {}
        for number, file in enumerate(self._files):
            counts = Counter(file.channel.tolist())
            for channel in sorted(counts.keys() | file.channels.keys()):
                self._connect(number, file, channel, counts[channel])
            self._tell(file)

    @property
    def start_time(self) -> int:
        """[ns] of reception of the earliest message; 0 without one."""
        return min((int(file.time.min()) for file in self._files if len(file.time)), default=0)

    @property
    def end_time(self) -> int:
        """[ns] of reception of the latest message; 0 without one."""
        return max((int(file.time.max()) for file in self._files if len(file.time)), default=0)

    def messages(
        self, connections: Collection[Connection]
    ) -> Iterator[tuple[Connection, int, bytes, object]]:
        """Yield (connection, time of reception [ns], bytes, what tells it from other messages)."""
        wanted = {each.id for each in connections}
        for number, file in enumerate(self._files):
            channels = {
                channel: connection
                for (of, channel), connection in self._of_channel.items()
                if of == number and connection.id in wanted
            }
            for place in file.numbers(frozenset(channels)):
                connection = channels[int(file.channel[place])]
                raw = file.data(place)
                if self._metadata.compression_mode == "message":
                    try:
                        raw = zstandard.decompress(raw)
                    except Exception:  # whatever a decoder meets in damaged bytes
                        why = "its compressed bytes are damaged"
                        self._findings.leave_out(connection.topic, why, (number, place))
                        continue
                yield connection, int(file.time[place]), raw, (number, place)

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files:
            file.close()

    def _connect(self, number: int, file: IndexedFile, channel: int, count: int) -> None:
        known = file.channels.get(channel)
        if not known:
            for place in range(count):
                why = "the record that names their topic is damaged"
                self._findings.leave_out(LOST_TOPIC, why, (number, channel, place))
            return
        listed = [each for each in known if each.topic in self._metadata.topics]
        chosen = (listed or known)[0]
        schemas = [
            each for other in (listed or known) for each in file.schemas.get(other.schema_id, [])
        ]
        self._of_channel[number, channel] = self._connection(chosen, schemas, count)

    def _connection(self, channel: Channel, schemas: list[Schema], count: int) -> Connection:
        """Return the connection of a channel, the same as an earlier file's of that topic."""
        name = schemas[0].name if schemas else ""
        kind: RecordedType | str
        try:
            if channel.message_encoding != "cdr":
                raise RecordingError(f"encoded as {channel.message_encoding!r}, not as cdr")
            kind = recorded_type(schemas, self._metadata.hashes.get(name, ""))
            name = kind.msgtype
        except RecordingError as error:
            kind = str(error)
        for place, known in enumerate(self.connections):
            if (known.topic, known.msgtype) == (channel.topic, name):
                self.connections[place] = known._replace(msgcount=known.msgcount + count)
                for key, each in self._of_channel.items():
                    if each.id == known.id:
                        self._of_channel[key] = self.connections[place]
                return self.connections[place]
        made = Connection(
            len(self.connections),
            channel.topic,
            name,
            _NOTHING if isinstance(kind, str) else kind.definition,
            "" if isinstance(kind, str) else kind.digest,
            count,
            ConnectionExtRosbag2(channel.message_encoding, _qos(channel)),
            self,
        )
        self.connections.append(made)
        self.types[made.id] = kind
        return made

    def _tell(self, file: IndexedFile) -> None:
        """Say what is wrong with a file."""
        for each in file.damages:
            size = f"{each.size} bytes at" if each.size else "at"
            self._findings.damage(f"{file.path.name}: {size} byte {each.offset}: {each.reason}")
        found = len(file.channel)
        if file.declared is not None and file.declared > found:
            self._findings.damage(
                f"{file.path.name}: {file.declared - found} of the {file.declared} messages "
                "counted in its own statistics are missing"
            )
        if file.clock_jumps:
            self._findings.note(
                f"{file.path.name}: the clock of reception was set back {file.clock_jumps} "
                "time(s); messages are in the order in which they were written"
            )


def _opened(files: Collection[Path], findings: Findings) -> list[IndexedFile]:
    opened, errors = [], []
    for path in files:
        try:
            opened.append(IndexedFile(path))
        except (RecordingError, OSError) as error:
            errors.append(str(error))
    if not opened:
        raise RecordingError(" ".join(errors))
    for said in errors:
        findings.damage(said)
    return sorted(opened, key=lambda file: int(file.time[0]) if len(file.time) else 0)


def _qos(channel: Channel) -> list[Qos]:
    try:
        return parse_qos(channel.metadata.get("offered_qos_profiles", ""))
    except Exception:  # whatever a parser meets in damaged text; messages do not depend on it
        return []
