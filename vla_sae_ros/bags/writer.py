"""One rosbag2 folder in MCAP, written so that a full disk still leaves a readable bag."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import StoragePlugin, WriterError

from vla_sae_ros.bags.mcap_storage import FrugalStorage, FrugalWriter
from vla_sae_ros.bags.message_definitions import definition_of
from vla_sae_ros.core.errors import RecordingError, complaint

# Room that closing needs on a full disk: the pending chunk (1 MiB and one message) and the index,
# about 150 bytes per MiB of bag.
RESERVE_BYTES = 16 * 2**20


class BagWriter:
    """Writes serialized messages into a new bag folder. Not thread-safe: one thread owns it.

    A failed write (OSError) leaves the object in a state from which `close` still makes a
    complete bag of everything accepted so far: `close` gives back a reserve that was claimed on
    the disk at the start and cuts off what the failed write left behind.
    """

    def __init__(self, folder: Path, reserve_bytes: int = RESERVE_BYTES) -> None:
        """Create `folder`; RecordingError when it exists or cannot be written."""
        self.folder = folder
        self.message_count = 0
        self.byte_count = 0
        self._connections: dict[str, Connection] = {}
        self._reserve = folder / ".reserve"
        self._writer = FrugalWriter(_new(folder), version=9, storage_plugin=StoragePlugin.MCAP)
        try:
            self._writer.open()
            _claim(self._reserve, reserve_bytes)
        except (OSError, WriterError) as error:
            self._abandon()
            raise RecordingError(
                complaint(
                    "cannot write a bag",
                    str(folder),
                    "a new folder on a disk with room",
                    f"System error: {error}.",
                )
            ) from error
        self._sound_end = self._storage.bio.tell()

    def add_topic(self, topic: str, msgtype: str, offered: Sequence[Qos] = ()) -> None:
        """Announce `topic`; RecordingError when its type is unknown. Again is without effect."""
        if topic in self._connections:
            return
        definition = definition_of(msgtype)
        self._connections[topic] = self._writer.add_connection(
            topic,
            msgtype,
            msgdef=definition.text,
            rihs01=definition.rihs01,
            offered_qos_profiles=offered,
        )

    def write(self, topic: str, received_ns: int, data: bytes) -> None:
        """Write one CDR-serialized message with its time of reception [ns].

        On OSError the message is still kept and part of the bag once `close` succeeds.
        """
        connection = self._connections[topic]
        try:
            self._writer.write(connection, received_ns, data)
        except OSError:
            # The message is in the pending chunk, which `close` writes again.
            self._writer.counts[connection.id] += 1
            self._writer.min_timestamp = min(self._writer.min_timestamp, received_ns)
            self._writer.max_timestamp = max(self._writer.max_timestamp, received_ns)
            raise
        finally:
            self.message_count += 1
            self.byte_count += len(data)
        self._sound_end = self._storage.bio.tell()

    def note(self, name: str, value: str) -> None:
        """Keep a text in the custom data of the bag's metadata, as vla_sae_ros.<name>."""
        self._writer.set_custom_data(f"vla_sae_ros.{name}", value)

    def flush(self) -> None:
        """Hand everything to the operating system: what a killed process would lose otherwise."""
        if self._storage.pending:
            self._storage.close_chunk()
        self._storage.bio.flush()
        self._sound_end = self._storage.bio.tell()

    def close(self) -> None:
        """Write index and metadata; OSError when even the reserve does not suffice."""
        self._reserve.unlink(missing_ok=True)
        file = self._storage.bio
        file.seek(self._sound_end)
        file.truncate()
        self._writer.close()

    @property
    def _storage(self) -> FrugalStorage:
        return cast(FrugalStorage, self._writer.storage)

    def _abandon(self) -> None:
        with contextlib.suppress(OSError):  # the error that led here is the one to report
            self._writer.abort()
            for path in (self._reserve, self.folder / f"{self.folder.name}.mcap"):
                path.unlink(missing_ok=True)
            self.folder.rmdir()


def _new(folder: Path) -> Path:
    if os.path.lexists(folder):
        raise RecordingError(
            complaint(
                "the bag exists already",
                str(folder),
                "a folder that does not exist yet",
                "Recordings are never overwritten: give another name.",
            )
        )
    return folder


def _claim(path: Path, size: int) -> None:
    """Occupy `size` bytes of the disk."""
    with path.open("xb") as file:
        if size:
            os.posix_fallocate(file.fileno(), 0, size)
