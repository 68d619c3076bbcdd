"""What the policy answers in one episode with another episode's stream at a site. Open loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.bags.recorded_frames import RecordedFrames
from vla_sae_ros.bags.recorded_inferences import RecordedInference
from vla_sae_ros.core.errors import ObservationError
from vla_sae_ros.policy.donor import Actions, Given
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.taps.injection import Injection


@dataclass(frozen=True)
class Injected:
    """One inference of the receiver with the stream of the donor's of the same number.

    plain, injected, donor: chunks (H, A). step, donor_step: control steps of the two.
    """

    step: int
    donor_step: int
    plain: Actions
    injected: Actions
    donor: Actions

    @property
    def share(self) -> float:
        """How far the chunk goes from its own towards the donor's: 0 none, 1 all of the way.

        The projection on the line between the two; NaN where they are the same.
        """
        line = (self.donor - self.plain).astype(np.float64).ravel()
        moved = (self.injected - self.plain).astype(np.float64).ravel()
        length = float(line @ line)
        return float(moved @ line / length) if length > 0.0 else float("nan")

    @property
    def moved(self) -> float:
        """||da||: mean over the chunk of the length of an action's change."""
        return _distance(self.injected, self.plain)

    @property
    def apart(self) -> float:
        """The same of the two plain chunks."""
        return _distance(self.donor, self.plain)

    @property
    def left(self) -> float:
        """The same of what is left to the donor's chunk."""
        return _distance(self.injected, self.donor)


def injected(
    engine: PolicyEngine,
    injection: Injection,
    frames: RecordedFrames,
    inferences: Sequence[RecordedInference],
    given: Sequence[Given],
) -> Iterator[Injected]:
    """Infer a receiver's episode, plain and with the donor's streams, one after the other.

    It ends with the shorter of the two. Both chunks are from the receiver's own noise.

    Raises:
        ConfigurationError: the two had other numbers of tokens or runs.
    """
    donors = iter(given)
    for recorded, frame in frames.of(inferences):
        if isinstance(frame, ObservationError):
            continue
        donor = next(donors, None)
        if donor is None:
            return
        seed = recorded.seed, recorded.step
        injection.give(None)
        plain = engine.infer(frame, recorded.instruction, seed).actions
        injection.give(donor.taken)
        changed = engine.infer(frame, recorded.instruction, seed).actions
        injection.give(None)
        yield Injected(recorded.step, donor.step, plain, changed, donor.actions)


def _distance(one: Actions, other: Actions) -> float:
    return float(np.linalg.norm(one.astype(np.float64) - other, axis=1).mean())
