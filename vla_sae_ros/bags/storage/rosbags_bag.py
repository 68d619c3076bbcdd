"""Bags in another storage than plain MCAP (SQLite, files compressed as a whole), by rosbags."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from mcap.records import Schema
from rosbags.interfaces import Connection
from rosbags.interfaces import MessageDefinitionFormat as Format
from rosbags.rosbag2 import Reader

from vla_sae_ros.bags.storage.findings import Findings
from vla_sae_ros.bags.storage.recorded_types import RecordedType, recorded_type
from vla_sae_ros.core.errors import RecordingError


class RosbagsBag:
    """The same as McapBag; what rosbags cannot open is refused as a whole."""

    def __init__(self, folder: Path, findings: Findings) -> None:
        """Open the bag; RecordingError when rosbags cannot."""
        self._findings = findings
        try:
            self._reader = Reader(folder)
            self._reader.open()
        except Exception as error:  # whatever a parser meets in damaged files
            raise RecordingError(f"the bag {folder} cannot be read: {error}") from error
        self.connections: list[Connection] = list(self._reader.connections)
        self.types = {each.id: _type(each) for each in self.connections}
        self.start_time = self._reader.start_time if self._reader.message_count else 0
        self.end_time = self._reader.end_time if self._reader.message_count else 0

    def messages(
        self, connections: Collection[Connection]
    ) -> Iterator[tuple[Connection, int, bytes, object]]:
        """Yield (connection, time of reception [ns], bytes, what tells it from other messages)."""
        wanted = {each.id for each in connections}
        try:
            for number, (connection, received, raw) in enumerate(self._reader.messages()):
                if connection.id in wanted:
                    yield connection, received, bytes(raw), number
        except Exception as error:  # whatever a decoder meets in damaged bytes
            self._findings.damage(f"the storage cannot be read to its end: {error}")

    def close(self) -> None:
        """Let go of the files."""
        self._reader.close()


def _type(connection: Connection) -> RecordedType | str:
    if connection.msgdef.format is Format.NONE:
        return "its definition is not in the bag"
    encoding = "ros2idl" if connection.msgdef.format is Format.IDL else "ros2msg"
    schema = Schema(
        id=1, name=connection.msgtype, encoding=encoding, data=connection.msgdef.data.encode()
    )
    try:
        return recorded_type([schema], connection.digest)
    except RecordingError as error:
        return str(error)
