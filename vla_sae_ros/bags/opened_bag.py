"""A bag that is open for reading: everything in it that can be read, and what could not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection

from vla_sae_ros.bags.soundness import fault
from vla_sae_ros.bags.storage.findings import Findings
from vla_sae_ros.bags.storage.mcap_bag import McapBag
from vla_sae_ros.bags.storage.metadata import NAME, Metadata, read_metadata
from vla_sae_ros.bags.storage.recorded_types import RecordedType
from vla_sae_ros.bags.storage.rosbags_bag import RosbagsBag
from vla_sae_ros.bags.system import WIRE_TYPES, full_name, namespaces
from vla_sae_ros.core.errors import RecordingError, complaint
from vla_sae_ros.core.folders import require_bag

ODD_TEXT = "a text is not valid UTF-8; invalid characters are shown as ?"


class OpenedBag:
    """Messages of one bag. `findings` says what could not be read, and grows while reading.

    A bag may hold several systems (policy, robot, recorder) in namespaces of their own; relative
    topics are those of one of them.
    """

    def __init__(self, folder: Path, namespace: str | None = None) -> None:
        """Open the bag in `folder`.

        Args:
            folder: of the bag.
            namespace: of the system that relative topics belong to, e.g. "/left"; None: the one
                with the most messages, and the findings say which others there are.

        Raises:
            RecordingError: there is no bag, or no system in this namespace.
        """
        self.folder = folder
        self.findings = Findings()
        self.metadata = read_metadata(folder, self.findings)
        self._bag = _storage(folder, self.metadata, self.findings)
        self.connections = self._bag.connections
        self.namespace = self._choose(namespace)
        self._tell()

    @property
    def start_time(self) -> int:
        """[ns] of reception of the earliest message; 0 without one."""
        return self._bag.start_time

    @property
    def duration(self) -> int:
        """[ns] between the earliest and the latest message."""
        return self._bag.end_time - self._bag.start_time

    @property
    def message_count(self) -> int:
        """Messages with a topic, whether or not they can be decoded."""
        return sum(each.msgcount for each in self.connections)

    def of(self, name: str, msgtype: str | None = None) -> list[Connection]:
        """Return the connections of a topic, relative to the system's namespace or absolute.

        Args:
            name: e.g. "policy/features" or "/diagnostics".
            msgtype: that it must have; None: the wire contract's, if it is one of its topics.
        """
        full, wanted = full_name(self.namespace, name), msgtype or WIRE_TYPES.get(name)
        found = [each for each in self.connections if each.topic == full]
        fitting = [each for each in found if wanted in (None, each.msgtype)]
        if not msgtype:
            for other in found:
                if other not in fitting and other.msgtype:
                    self.findings.note(
                        f"{full} is of type {other.msgtype}, not {wanted}: it is not read as {name}"
                    )
        return fitting

    def messages(
        self, connections: Collection[Connection] | None = None
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Yield (connection, time of reception [ns], CDR bytes) in order; None = of every topic."""
        chosen = self.connections if connections is None else connections
        for connection, received, raw, _ in self._bag.messages(chosen):
            yield connection, received, raw

    def decoded(
        self, connections: Collection[Connection] | None = None
    ) -> Iterator[tuple[Connection, int, Any]]:
        """Yield (connection, time of reception [ns], message) of all that can be decoded.

        What cannot be, or says what cannot be, is left out and counted in the findings.
        """
        for connection, received, message, _ in self.read(connections):
            yield connection, received, message

    def read(
        self, connections: Collection[Connection] | None = None
    ) -> Iterator[tuple[Connection, int, Any, bytes]]:
        """Yield the same with the bytes that the message was read from.

        These differ from the recorded ones where a text is no UTF-8.
        """
        chosen = self.connections if connections is None else connections
        for connection, received, raw, key in self._bag.messages(chosen):
            kind = self._bag.types[connection.id]
            if isinstance(kind, str):
                self.findings.leave_out(connection.topic, kind, key)
                continue
            try:
                message, clean = kind.read(raw)
            except RecordingError as error:
                self.findings.leave_out(connection.topic, str(error), key)
                continue
            if (why := fault(connection.msgtype, message)) is not None:
                self.findings.leave_out(connection.topic, why, key)
                continue
            if clean is not raw:
                self.findings.change(connection.topic, ODD_TEXT, key)
            yield connection, received, message, clean

    def deserialize(self, raw: bytes, connection: Connection) -> Any:
        """Return one message; RecordingError when it cannot be decoded."""
        kind = self._bag.types[connection.id]
        if isinstance(kind, str):
            raise RecordingError(f"messages of {connection.topic} cannot be read: {kind}")
        return kind.read(raw)[0]

    def type_of(self, connection: Connection) -> RecordedType | str:
        """Return a connection's type, or why its messages cannot be read."""
        return self._bag.types[connection.id]

    def close(self) -> None:
        """Let go of the files."""
        self._bag.close()

    def _choose(self, wanted: str | None) -> str:
        there = namespaces(self.connections)
        if wanted is None:
            for other in there[1:]:
                count = sum(
                    each.msgcount
                    for each in self.connections
                    if each.topic.startswith(f"{other}/") and not _within(each.topic, there, other)
                )
                self.findings.damage(
                    f"the system in {other or '/'} with {count} messages: a bag is read one system "
                    f"at a time, name it with --namespace {other or '/'}"
                )
            return there[0]
        namespace = wanted.rstrip("/")
        if namespace not in there:
            allowed = [each or "/" for each in there]
            raise RecordingError(complaint("no system in this namespace", wanted, allowed))
        return namespace

    def _tell(self) -> None:
        declared, found = self.metadata.messages, self.message_count
        if declared is not None and declared > found and self.findings.whole:
            self.findings.damage(
                f"{declared - found} of the {declared} messages counted in {NAME} are missing"
            )
        for connection in self.connections:
            kind = self._bag.types[connection.id]
            if isinstance(kind, str) and not connection.msgcount:
                self.findings.note(f"{connection.topic} has no message, and {kind}")


@contextmanager
def open_bag(folder: Path, namespace: str | None = None) -> Iterator[OpenedBag]:
    """Open the bag in `folder` for the time of a with statement.

    Raises RecordingError when there is no bag, or no system in this namespace.
    """
    bag = OpenedBag(folder, namespace)
    try:
        yield bag
    finally:
        bag.close()


def messages(bag: OpenedBag, name: str) -> Iterator[tuple[int, Any]]:
    """Yield (time of reception [ns], message) of a topic of the bag's system."""
    for _, received, message in bag.decoded(bag.of(name)):
        yield received, message


def _storage(folder: Path, metadata: Metadata, findings: Findings) -> McapBag | RosbagsBag:
    require_bag(folder)
    there = {path.name: path for path in sorted(folder.glob("*.mcap"))}
    missing = [name for name in metadata.files if not (folder / name).exists()]
    for name in missing:
        findings.damage(f"the file {name} that {NAME} names is missing")
    if metadata.files and not missing:
        for name in there.keys() - set(metadata.files):
            findings.note(f"the file {name} is not named in {NAME}: it is not read")
            del there[name]
    if there:
        return McapBag(list(there.values()), metadata, findings)
    if (folder / NAME).exists():
        return RosbagsBag(folder, findings)
    raise RecordingError(
        complaint(
            "not a complete bag",
            str(folder),
            f"a folder with {NAME} and an .mcap file",
            "Stop a recording (record/stop) before reading it; "
            "`vla-sae bag repair` repairs the bag of a killed recorder.",
        )
    )


def _within(topic: str, namespaces: Collection[str], namespace: str) -> bool:
    """Say whether a topic belongs to a system in a deeper namespace."""
    return any(
        len(other) > len(namespace) and topic.startswith(f"{other}/") for other in namespaces
    )
