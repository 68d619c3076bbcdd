"""Picking, for one point in time, one sample from each of several streams."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from vla_sae_ros.core.errors import ObservationError

Strategy = Literal["hold", "asof", "drop"]
Timeline = Literal["header", "receive"]

BUFFER_DEPTH = 32
"""Samples kept per stream; at 20 Hz that is more than any chunk takes to compute."""
NUMBERS_DEPTH = 1024
"""Samples kept of numbers, which are small: a second of a controller's 1 kHz. A request is often
older than the newest 32 of these."""

MILLISECOND_NS = 1_000_000

CLOCK_SET_BACK_NS = 2_000_000_000
"""A stamp so much older than the newest one comes from a clock that was set back, not from a late
message: what came before it lies in a future that no frame will ask for."""


@dataclass(frozen=True)
class Align:
    """How one stream's samples meet the time of a frame.

    hold takes the newest sample however old; asof only if it is at most tolerance_ms old; drop
    only if it came within the frame's own period, that is in (t - period, t].
    """

    strategy: Strategy
    timeline: Timeline
    tolerance_ms: float | None = None
    """Given for asof and only for asof."""

    def oldest_ns(self, stamp_ns: int, period_ns: int) -> int | None:
        """Return the oldest stamp that is good enough at stamp_ns; None when any is."""
        if self.strategy == "hold":
            return None
        if self.strategy == "drop":
            return stamp_ns - period_ns + 1
        return stamp_ns - round((self.tolerance_ms or 0.0) * MILLISECOND_NS)


@dataclass(frozen=True)
class Sample:
    """One value of one stream and its time in nanoseconds."""

    stamp_ns: int
    value: Any


class FrameIncomplete(ObservationError):
    """Some streams have nothing to say at the time asked for.

    missing holds the keys without any sample up to that time, stale the age in milliseconds of the
    newest sample of each key whose alignment refuses it, later by how many milliseconds the oldest
    sample is too late of each missing key that has any: its clock may be another one.
    """

    def __init__(
        self,
        missing: tuple[str, ...],
        stale: Mapping[str, float],
        later: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.missing = missing
        self.stale, self.later = dict(stale), dict(later)
        parts = [f"{key} has not arrived" for key in missing if key not in later]
        parts += [
            f"every {key} that has arrived is stamped later, by {age:.1f} ms or more"
            for key, age in later.items()
        ]
        parts += [
            f"{key} is {age:.1f} ms old, too old for its alignment"
            for key, age in self.stale.items()
        ]
        super().__init__(
            f"No complete observation: {'; '.join(parts)}. Check that its publisher runs and that "
            "the contract names its topic."
        )


class SampleBuffer:
    """The newest samples of one stream, ordered by stamp; an equal stamp replaces."""

    def __init__(self, depth: int = BUFFER_DEPTH) -> None:
        self._depth = depth
        self._samples: list[Sample] = []

    def push(self, sample: Sample) -> None:
        """Insert the sample; the oldest one goes when the buffer is full, all when the clock was
        set back."""
        if self._samples and sample.stamp_ns < self._samples[-1].stamp_ns - CLOCK_SET_BACK_NS:
            self._samples.clear()
        place = bisect.bisect_left(self._samples, sample.stamp_ns, key=_stamp)
        if place < len(self._samples) and self._samples[place].stamp_ns == sample.stamp_ns:
            self._samples[place] = sample
            return
        self._samples.insert(place, sample)
        if len(self._samples) > self._depth:
            del self._samples[0]

    def newest_at(self, stamp_ns: int) -> Sample | None:
        """Return the newest sample that is not later than stamp_ns."""
        place = bisect.bisect_right(self._samples, stamp_ns, key=_stamp)
        return self._samples[place - 1] if place else None

    @property
    def stamps(self) -> list[int]:
        """Return the stamps held, ascending, in nanoseconds."""
        return [sample.stamp_ns for sample in self._samples]


class Aligner:
    """Buffers named streams and aligns them to the time of a frame.

    period_ns is the time between frames, which `drop` needs; numbers are the keys of streams whose
    samples are small.
    """

    def __init__(
        self, rules: Mapping[str, Align], period_ns: int, numbers: Collection[str] = ()
    ) -> None:
        self._rules = dict(rules)
        self._period_ns = period_ns
        self._depths = {key: NUMBERS_DEPTH if key in numbers else BUFFER_DEPTH for key in rules}
        self.clear()

    def push(self, key: str, stamp_ns: int, value: Any) -> None:
        """Add a sample; raises ObservationError for a key that has no rule."""
        if key not in self._buffers:
            raise ObservationError(
                f"No stream is called {key!r}; known are {', '.join(self._buffers)}."
            )
        self._buffers[key].push(Sample(stamp_ns, value))

    def align(self, stamp_ns: int) -> dict[str, Sample]:
        """Return one sample per stream for this time; raises FrameIncomplete."""
        samples: dict[str, Sample] = {}
        missing: list[str] = []
        stale: dict[str, float] = {}
        later: dict[str, float] = {}
        for key, rule in self._rules.items():
            sample = self._buffers[key].newest_at(stamp_ns)
            oldest = rule.oldest_ns(stamp_ns, self._period_ns)
            if sample is None:
                missing.append(key)
                if stamps := self._buffers[key].stamps:
                    later[key] = (stamps[0] - stamp_ns) / MILLISECOND_NS
            elif oldest is not None and sample.stamp_ns < oldest:
                stale[key] = (stamp_ns - sample.stamp_ns) / MILLISECOND_NS
            else:
                samples[key] = sample
        if missing or stale:
            raise FrameIncomplete(tuple(missing), stale, later)
        return samples

    def newest_complete(self) -> int | None:
        """Return the latest stamp of any sample at which every stream aligns, or None."""
        stamps = {stamp for buffer in self._buffers.values() for stamp in buffer.stamps}
        for stamp_ns in sorted(stamps, reverse=True):
            try:
                self.align(stamp_ns)
            except FrameIncomplete:
                continue
            return stamp_ns
        return None

    def clear(self) -> None:
        """Forget every sample, as between two episodes."""
        self._buffers = {key: SampleBuffer(depth) for key, depth in self._depths.items()}


def _stamp(sample: Sample) -> int:
    return sample.stamp_ns
