"""Recorded observations fed to the policy again, and where the results part from the recorded."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_sae_ros.bags.recorded_frames import RecordedFrames
from vla_sae_ros.bags.recorded_inferences import RecordedInference
from vla_sae_ros.core.errors import ObservationError
from vla_sae_ros.core.readout import SiteReadout
from vla_sae_ros.core.steering import Snapshot
from vla_sae_ros.policy.inference import Continued, ContinuingEngine, Inference

SteeringOf = Callable[[RecordedInference], Snapshot | None]
"""Gives the steering of an inference; None when it is not known."""

InstructionOf = Callable[[RecordedInference], str]
"""Gives what the policy is told in an inference."""

_NUMBERS = ("fvu", "residual_norm", "edit_norm_ratio", "capped")


@dataclass(frozen=True)
class Replayed:
    """One recorded inference and what it gave now; `inference` is None for the reason in `why`."""

    recorded: RecordedInference
    inference: Inference | None
    why: str = ""


@dataclass(frozen=True)
class Difference:
    """One number that is not the recorded one.

    `what` names it, e.g. "actions[0, 2]" or "expert.1: applied value of feature 80".
    """

    what: str
    recorded: float
    now: float

    @property
    def size(self) -> float:
        """Absolute difference; infinite when only one of the two is there."""
        gap = abs(self.recorded - self.now)
        return float(gap) if np.isfinite(gap) else float("inf")

    def __str__(self) -> str:
        return f"{self.what}: recorded {self.recorded:.9g}, now {self.now:.9g} ({self.size:.3g})"


def recorded_steering(recorded: RecordedInference) -> Snapshot | None:
    """Return the steering that the inference applied when it was recorded."""
    return recorded.snapshot


def recorded_instruction(recorded: RecordedInference) -> str:
    """Return what the policy was told when the inference was recorded."""
    return recorded.instruction


def replay(
    engine: ContinuingEngine,
    frames: RecordedFrames,
    inferences: Sequence[RecordedInference],
    steering_of: SteeringOf = recorded_steering,
    instruction_of: InstructionOf = recorded_instruction,
) -> Iterator[Replayed]:
    """Infer again from every recorded observation, in the recorded order.

    A chunk that real-time chunking made of the one before is made of the replayed one. Where that
    was told something else than this one, it is made from scratch, as the policy node does it.

    Raises:
        ConfigurationError: chunks of the bag continue others, and this policy cannot.
    """
    if any(each.continued for each in inferences):
        engine.enable_rtc()
    before = _Before()
    for recorded, frame in frames.of(inferences):
        snapshot = steering_of(recorded)
        if isinstance(frame, ObservationError):
            yield Replayed(recorded, None, str(frame))
        elif snapshot is None:
            yield Replayed(
                recorded,
                None,
                "the bag does not record which steering was applied (no steering/state of revision "
                f"{recorded.revision})",
            )
        elif snapshot.injection and recorded.injected != 0.0:
            yield Replayed(
                recorded,
                None,
                f"it had another episode's residual stream at {snapshot.injection}, which is not "
                "in the bag; --no-steering gives what the policy answers with its own",
            )
        else:
            told = instruction_of(recorded)
            try:
                previous = before.previous(recorded, told)
            except _NotReplayed as reason:
                yield Replayed(recorded, None, str(reason))
                continue
            seed = recorded.seed, recorded.step
            inference = engine.infer(frame, told, seed, snapshot, previous)
            before.keep(recorded, told, inference)
            yield Replayed(recorded, inference)


class _NotReplayed(Exception):
    """Why an inference cannot be made again."""


class _Before:
    """The inference replayed last, whose chunk the next one may continue."""

    def __init__(self) -> None:
        self._last: tuple[RecordedInference, str, Inference] | None = None

    def keep(self, recorded: RecordedInference, told: str, inference: Inference) -> None:
        """Remember what was replayed."""
        self._last = recorded, told, inference

    def previous(self, recorded: RecordedInference, told: str) -> Continued | None:
        """Return what the recorded inference continued, of the replayed chunk."""
        if not recorded.continued:
            return None
        if self._last is not None:
            last, last_told, inference = self._last
            key = last.policy_start_ns, last.chunk_id
            if key == (recorded.policy_start_ns, recorded.continued):
                if told != last_told:
                    return None
                assert inference.normalised is not None
                rest = inference.normalised[recorded.step - last.step :]
                return Continued(rest, recorded.continued_delay, recorded.continued)
        raise _NotReplayed(
            "it continues (real-time chunking) a chunk that was not replayed before it"
        )


@dataclass
class Comparison:
    """How a replay compares with its recording, to the bit.

    Attributes:
        bag: every inference of the bag, oldest first. A recording may end between the chunk and
            the read-outs of the last one.
        unread: sites of which the last one has no read-out, and others have; they are not compared.
        total: inferences asked for.
        replayed: of them, those that could be inferred again.
        reasons: why others could not -> how many.
        parted: those that differ in anything.
        first: the first of them with its first difference.
        largest: kind of number -> largest difference.
    """

    bag: Sequence[RecordedInference]
    unread: list[str] = field(default_factory=list)
    total: int = 0
    replayed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    parted: int = 0
    first: tuple[RecordedInference, Difference] | None = None
    largest: dict[str, float] = field(default_factory=dict)

    @property
    def identical(self) -> bool:
        """Every inference was replayed and equals its recording to the bit."""
        return self.replayed == self.total > 0 and not self.parted

    def add(self, each: Replayed) -> None:
        """Take in one inference."""
        self.total += 1
        if each.inference is None:
            self.reasons[each.why] = self.reasons.get(each.why, 0) + 1
            return
        self.replayed += 1
        if each.recorded is self.bag[-1]:
            cut_off = {site for one in self.bag for site in one.sites} - each.recorded.sites.keys()
            self.unread = [one.site for one in each.inference.sites if one.site in cut_off]
        found = differences(each.recorded, each.inference, self.unread)
        if found:
            self.parted += 1
            self.first = self.first or (each.recorded, found[0])
        for difference in found:
            kind = difference.what.split("[")[0].split(" of feature")[0]
            self.largest[kind] = max(self.largest.get(kind, 0.0), difference.size)


def differences(
    recorded: RecordedInference, now: Inference, unread: Container[str] = ()
) -> list[Difference]:
    """Return every number that differs from the recorded one in any bit, but for `unread` sites."""
    found = _of_arrays("actions", recorded.actions, now.actions)
    readouts = {readout.site: readout for readout in now.sites}
    for site in sorted(recorded.sites.keys() | readouts.keys()):
        before, after = recorded.sites.get(site), readouts.get(site)
        if site in unread:
            continue
        if before is None or after is None:
            there = float("nan") if before is None else 1.0
            gone = float("nan") if after is None else 1.0
            found.append(Difference(f"{site}: features at all", there, gone))
        else:
            found += _of_readouts(before, after)
    return found


def _of_readouts(before: SiteReadout, after: SiteReadout) -> list[Difference]:
    found = []
    for name in ("natural", "applied"):
        old, new = (
            dict(zip(each.index.tolist(), getattr(each, name), strict=True))
            for each in (before, after)
        )
        for feature in sorted(old.keys() | new.keys()):
            pair = (np.float32(old.get(feature, np.nan)), np.float32(new.get(feature, np.nan)))
            if not _same_bits(*pair):
                found.append(
                    Difference(
                        f"{before.site}: {name} value of feature {feature}", *map(float, pair)
                    )
                )
    for name in _NUMBERS:
        pair = (np.float32(getattr(before, name)), np.float32(getattr(after, name)))
        if not _same_bits(*pair):
            found.append(Difference(f"{before.site}: {name}", *map(float, pair)))
    return found


def _of_arrays(
    what: str, old: npt.NDArray[np.float32], new: npt.NDArray[np.float32]
) -> list[Difference]:
    if old.shape != new.shape:
        return [Difference(f"{what}: number of values", old.size, new.size)]
    changed = old.view(np.uint32) != new.view(np.uint32)
    return [
        Difference(f"{what}[{row}, {column}]", float(old[row, column]), float(new[row, column]))
        for row, column in np.argwhere(changed).tolist()
    ]


def _same_bits(old: Any, new: Any) -> bool:
    return bool(old.view(np.uint32) == new.view(np.uint32))
