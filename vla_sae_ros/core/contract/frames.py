"""From messages to the policy's frame: the same for live topics and for recorded bags."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.alignment import MILLISECOND_NS, Aligner, Sample
from vla_sae_ros.core.contract.messages import header_ns, read
from vla_sae_ros.core.contract.pictures import CompressedPicture
from vla_sae_ros.core.contract.schema import Channel, Contract, Entry, Source
from vla_sae_ros.core.errors import ContractError


@dataclass(frozen=True)
class Frame:
    """One observation in the policy's units."""

    stamp_ns: int
    """The time asked for."""
    values: dict[str, npt.NDArray[Any]]
    """Feature key to (height, width, 3) uint8 RGB or a vector (n,)."""
    ages_ms: dict[str, float]
    """Feature key to the age of its oldest part at stamp_ns, in milliseconds."""


class FrameBuilder:
    """Collects messages and makes frames of them as the contract says. Thread-safe."""

    def __init__(self, contract: Contract) -> None:
        self._entries = contract.observations
        self._sources: dict[str, list[tuple[str, Source]]] = {}
        self._channels: dict[str, Channel] = {}
        for entry in contract.observations:
            for name, source in _streams(entry):
                self._add(name, source)
        rules = {name: source.align for entry in self._entries for name, source in _streams(entry)}
        numbers = {
            name for entry in self._entries if not entry.is_image for name, _ in _streams(entry)
        }
        self._aligner = Aligner(rules, contract.period_ns, numbers)
        self._lock = threading.Lock()

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Return the distinct topics to subscribe to."""
        return tuple(self._channels.values())

    def push(self, topic: str, message: Any, receive_ns: int) -> None:
        """Take in a message of one of the channels.

        Raises ObservationError when the message cannot be used; earlier ones stay.
        """
        samples = []
        for name, source in self._sources.get(topic, []):
            by_header = source.align.timeline == "header"
            stamp_ns = header_ns(message, source.channel) if by_header else receive_ns
            samples.append((name, stamp_ns, read(message, source)))
        with self._lock:
            for name, stamp_ns, value in samples:
                self._aligner.push(name, stamp_ns, value)

    def frame(self, stamp_ns: int) -> Frame:
        """Return the frame at this time; raises FrameIncomplete (an ObservationError), or another
        ObservationError when a compressed picture cannot be decoded."""
        with self._lock:
            samples = self._aligner.align(stamp_ns)
        values = {entry.key: _value(entry, samples) for entry in self._entries}
        ages = {entry.key: _age_ms(entry, samples, stamp_ns) for entry in self._entries}
        return Frame(stamp_ns, values, ages)

    def newest_complete(self) -> int | None:
        """Return the latest time (nanoseconds) at which `frame` succeeds, or None."""
        with self._lock:
            return self._aligner.newest_complete()

    def clear(self) -> None:
        """Forget every message, as between two episodes."""
        with self._lock:
            self._aligner.clear()

    def _add(self, name: str, source: Source) -> None:
        channel = source.channel
        known = self._channels.setdefault(channel.topic, channel)
        if (known.type, known.qos) != (channel.type, channel.qos):
            raise ContractError(
                f"The contract uses the topic {channel.topic} twice with different types or QoS "
                f"({known.type} and {channel.type}). Use the same type and QoS."
            )
        self._sources.setdefault(channel.topic, []).append((name, source))


def _streams(entry: Entry) -> list[tuple[str, Source]]:
    """Return the entry's sources, each with a name that says which it is."""
    if len(entry.sources) == 1:
        return [(entry.key, entry.sources[0])]
    return [
        (f"{entry.key}[{index}] ({source.channel.topic})", source)
        for index, source in enumerate(entry.sources)
    ]


def _value(entry: Entry, samples: dict[str, Sample]) -> npt.NDArray[Any]:
    parts = []
    for name, source in _streams(entry):
        value = samples[name].value
        if isinstance(value, CompressedPicture):
            value = value.decoded()
        for operator in source.apply:
            value = operator.forward(value)
        parts.append(value)
    if entry.is_image:
        return np.ascontiguousarray(parts[0])
    return np.concatenate(parts).astype(entry.sources[0].channel.dtype)


def _age_ms(entry: Entry, samples: dict[str, Sample], stamp_ns: int) -> float:
    oldest = min(samples[name].stamp_ns for name, _ in _streams(entry))
    return (stamp_ns - oldest) / MILLISECOND_NS
