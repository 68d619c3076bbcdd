"""The policy's frames out of a bag, through the same contract and alignment as the live node's."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from rosbags.interfaces import Connection

from vla_sae_ros.bags.opened_bag import OpenedBag
from vla_sae_ros.bags.pictures import COMPRESSED, COMPRESSED_TYPE, RAW_TYPE, picture_of
from vla_sae_ros.core.contract import Contract, FrameBuilder
from vla_sae_ros.core.errors import ObservationError, RecordingError, complaint

Frame = Mapping[str, npt.NDArray[Any]]
LATEST = 2_000_000_000  # [ns] after a chunk that a part of its observation may still be recorded


class FrameTime(Protocol):
    """When a frame was wanted."""

    @property
    def stamp_ns(self) -> int:
        """Of the observation [ns]."""

    @property
    def received_ns(self) -> int:
        """When the recorder got what was made of it [ns]."""


class RecordedFrames:
    """Frames of one bag.

    Raises:
        RecordingError: the bag lacks a topic that the contract needs.
    """

    def __init__(self, bag: OpenedBag, contract: Contract) -> None:
        self._bag, self._contract = bag, contract
        self._topics: dict[int, str] = {}
        self._connections: list[Connection] = []
        wanted = FrameBuilder(contract).channels
        missing = [c.topic for c in wanted if not self._find(c.topic, c.type)]
        if missing:
            raise RecordingError(
                complaint(
                    "the bag lacks observations",
                    sorted(missing),
                    "every topic of the contract",
                    "Record with pictures (record/start with images, or vla-sae record start "
                    "--images), or name the robot's contract with --contract.",
                )
            )
        self.refused = 0
        """Messages that could not be used."""
        self.lossy = self._has_jpeg()
        """Pictures were compressed with a loss, so that they are not those the policy saw."""

    def of[M: FrameTime](
        self, moments: Sequence[M]
    ) -> Iterator[tuple[M, Frame | ObservationError]]:
        """Yield each moment, e.g. an inference, with its frame, or with why there is none.

        Every call reads the bag from its beginning.
        """
        builder = FrameBuilder(self._contract)
        waiting = deque(sorted(moments, key=lambda each: each.received_ns))
        for connection, received, message in self._bag.decoded(self._connections):
            topic = self._topics[connection.id]
            try:
                builder.push(topic, _as_sent(message, connection), received)
            except ObservationError:  # refused live as well: its frame will miss it, by name
                self.refused += 1
            except RecordingError as error:  # of a picture: its frame will miss it, by name
                self._bag.findings.leave_out(connection.topic, str(error), received)
            while waiting and waiting[0].received_ns <= received:
                frame = _frame(builder, waiting[0])
                late = received - waiting[0].received_ns > LATEST
                if isinstance(frame, ObservationError) and not late:
                    break
                yield waiting.popleft(), frame
        for moment in waiting:
            yield moment, _frame(builder, moment)

    def _find(self, topic: str, msgtype: str) -> bool:
        """Choose the connections of a topic; raw pictures rather than packed ones."""
        wanted = [(topic, msgtype)]
        if msgtype == RAW_TYPE:
            wanted.append((topic + COMPRESSED, COMPRESSED_TYPE))
        for name, kind in wanted:
            found = [each for each in self._bag.of(name, kind) if each.msgcount]
            if found:
                self._connections += found
                self._topics.update({connection.id: topic for connection in found})
                return True
        return False

    def _has_jpeg(self) -> bool:
        packed = [c for c in self._connections if c.msgtype == COMPRESSED_TYPE]
        for connection in packed:
            for _, _, message in self._bag.decoded([connection]):
                if message.data[:2].tobytes() == b"\xff\xd8":
                    return True
                break
        return False


def _frame(builder: FrameBuilder, moment: FrameTime) -> Frame | ObservationError:
    try:
        return builder.frame(moment.stamp_ns).values
    except ObservationError as error:
        return error


def _as_sent(message: Any, connection: Connection) -> Any:
    """Return the message as its publisher sent it: a compressed picture is unpacked."""
    if connection.msgtype != COMPRESSED_TYPE:
        return message
    picture = np.ascontiguousarray(picture_of(message, connection.topic))
    height, width, _ = picture.shape
    return SimpleNamespace(
        header=message.header,
        height=height,
        width=width,
        encoding="rgb8",
        step=3 * width,
        data=picture.ravel(),
    )
