"""One standing edit on its way: its value and weight move with observation time."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from vla_sae_ros.core.steering.condition import Gate, Readings
from vla_sae_ros.core.steering.control import Controller
from vla_sae_ros.core.steering.edit import Edit

# An accepted change acts from the very next inference on, even one made from the same observation:
# its first step is at least one control period of a 20 Hz robot.
FIRST_STEP = 0.05
NO_READINGS: Readings = {}


class Phase(enum.IntEnum):
    """Where a standing edit is. Values equal the wire's (SteeringEditState.msg)."""

    RAMPING_IN = 0
    HOLDING = 1
    RELEASING = 2
    WAITING = 3  # outside its window, or its condition does not hold


@dataclass
class Slot:
    """A standing edit and what has become of it.

    The edit's effect is `weight` times its full effect: 0 is natural, 1 fully applied. Its value v
    moves linearly towards `target`, both in the SAE's activation units. A controller chooses the
    target anew in every inference; the value follows once the weight is 1.
    """

    edit: Edit
    owner: str
    target: float
    value: float
    value_rate: float  # [activation / s]
    ramp: float  # [s] for the weight to go from 1 to 0
    rise: float  # [s] for the weight to go from 0 to 1
    weight: float = 0.0
    age: float = 0.0  # [s] of observation time since it was set
    releasing: bool = False
    inside: bool = True
    gate: Gate | None = None  # of an edit that acts only while a condition holds
    controller: Controller | None = None  # of an edit whose strength is controlled
    scale: float = 1.0  # v in the SAE's activation units per unit of the controller's
    changed: bool = True  # set, given another value or released since the last inference

    def release(self, ramp: float) -> None:
        """Let it ramp back to natural, from the very next inference on, over `ramp` [s]."""
        self.ramp = ramp
        self.releasing = self.changed = True

    def advance(
        self,
        seconds: float,
        elapsed: float,
        episode_time: float,
        readings: Readings = NO_READINGS,
        held_back: bool = False,
    ) -> None:
        """Move value and weight on by this much observation time.

        seconds, elapsed: within the present episode, and with what passed before it. readings,
        held_back: see `Gate` and `Controller`.
        """
        is_open = self.gate is None or self.gate.update(readings, seconds)
        is_open = self._controlled(readings, seconds, held_back) and is_open
        if self.changed:
            seconds, self.changed = max(seconds, FIRST_STEP), False
            elapsed = max(elapsed, FIRST_STEP)
        self.age += seconds
        self.inside = self.edit.inside_window(episode_time) and is_open
        if self.controller is not None and not self.inside:
            self.controller.begin()
            self.target = self.controller.value * self.scale
        if self.releasing or not self.inside:
            # The value stands still meanwhile: both together would move faster than the limit.
            moving = elapsed if self.releasing else self._since_edge(elapsed, episode_time)
            self.weight = _towards(self.weight, 0.0, moving, self.ramp)
        else:
            moving = self._since_edge(seconds, episode_time)
            if self.controller is None:
                self.value = _towards(self.value, self.target, seconds * self.value_rate, 1.0)
            elif self.weight == 1.0:  # both together would move faster than the limit
                self.value = _towards(self.value, self.target, seconds, 1.0 / self.value_rate)
            self.weight = _towards(self.weight, 1.0, moving, self.rise)
        if self.weight in (0.0, 1.0):
            self.rise = self.ramp
        if self.weight == 0.0:
            self.value = self.target  # nothing of it is felt

    def _controlled(self, readings: Readings, seconds: float, held_back: bool) -> bool:
        """Let the controller choose the target; return False where it has no reading."""
        if self.controller is None or self.releasing:
            return True
        reached = self.value / self.scale
        wanted = self.controller.update(readings, seconds, reached, held_back)
        if wanted is None:
            return False
        self.target = wanted * self.scale
        return True

    def _since_edge(self, seconds: float, episode_time: float) -> float:
        """Return how many of the last seconds lie behind the window's edge passed last."""
        start, end = self.edit.window
        edge = start if self.inside else end
        if edge == 0.0 or episode_time < edge:
            return seconds
        return min(seconds, max(episode_time - edge, FIRST_STEP))

    @property
    def is_spent(self) -> bool:
        """Whether the edit has been released and natural is reached."""
        return self.releasing and self.weight == 0.0

    @property
    def is_due(self) -> bool:
        """Whether its own duration has passed."""
        return not self.releasing and 0.0 < self.edit.duration <= self.age

    @property
    def phase(self) -> Phase:
        if self.releasing:
            return Phase.RELEASING
        if not self.inside:
            return Phase.WAITING
        settled = self.weight == 1.0 and self.value == self.target
        return Phase.HOLDING if settled else Phase.RAMPING_IN


def _towards(weight: float, wanted: float, seconds: float, ramp: float) -> float:
    if ramp <= 0.0:
        return wanted
    step = seconds / ramp
    return min(wanted, weight + step) if wanted > weight else max(wanted, weight - step)
