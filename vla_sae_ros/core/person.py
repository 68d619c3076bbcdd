"""What a person who has taken over asks for: the newest valid command, for a short time."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.errors import complaint

FRAME = "base"
"""Of twists: where the arm is screwed on, x forward, z up."""

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PersonLimits:
    """What a person may ask for; anything faster is refused, not slowed down."""

    linear: float
    """[m/s] of the tool."""
    angular: float
    """[rad/s] of the tool."""
    joint: float
    """[rad/s] of every joint."""
    timeout: float
    """[s] that a command is good for, from its stamp on."""


@dataclass(frozen=True)
class PersonCommand:
    """One velocity that is asked for."""

    velocity: _Floats
    """(6,) of the tool in FRAME: [m/s] then [rad/s]; of joints: (N,) [rad/s]."""
    joints: bool = False


class PersonInput:
    """Takes commands while a person is in charge; any thread may use it.

    Whatever is wrong with a command, it is refused in words and counted, and the one before it
    stays until it is `timeout` old. Then there is none, and who asks has to hold still.

    Args:
        joints: numbers of a command for joints; 0: there is none for joints.
        clock: monotonic [s].
    """

    def __init__(self, limits: PersonLimits, joints: int, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._joints, self._clock = joints, clock
        self._lock = threading.Lock()
        self._takeover = 0
        self._newest: tuple[float, PersonCommand] | None = None  # when it was made, and it
        self._closing = math.nan
        self.accepted = 0
        self.refused = 0
        self.refusal = ""
        """Why the last refused command was refused, in words."""

    def note(self, takeover: int) -> None:
        """Take note of who is in charge: 0 nobody, else the number of the takeover.

        Whoever knows may say so, as often as they like: commands of another takeover do not count.
        """
        with self._lock:
            if takeover != self._takeover:
                self._takeover, self._newest, self._closing = takeover, None, math.nan

    @property
    def silent(self) -> bool:
        """Tell whether a person is in charge and gives no valid command."""
        return self._takeover > 0 and self.newest() is None

    @property
    def closing(self) -> float:
        """Return the gripper that was asked for, 0 = open, 1 = closed; NaN: not yet."""
        return self._closing

    def newest(self) -> PersonCommand | None:
        """Return what is asked for now; None: nothing that is still valid."""
        with self._lock:
            newest = self._newest
        if newest is None or self._clock() - newest[0] > self.limits.timeout:
            return None
        return newest[1]

    def twist(self, values: _Floats, frame: str, age: float) -> str:
        """Take a velocity of the tool; return why it was refused, empty when it was not.

        Args:
            values: (6,) [m/s] then [rad/s].
            frame: must be FRAME.
            age: [s] of the command; NaN: it has no stamp.
        """
        return self._take(PersonCommand(values), self._wrong_twist(values, frame), age)

    def joint_velocities(self, values: _Floats, age: float) -> str:
        """Take velocities of the joints (N,) rad/s, base to flange; returns as `twist` does."""
        return self._take(PersonCommand(values, joints=True), self._wrong_joints(values), age)

    def gripper(self, closing: float) -> str:
        """Take a gripper request, 0 = open, 1 = closed; it stays until the next one."""
        wrong = ""
        if not 0.0 <= closing <= 1.0:
            wrong = complaint("A person's gripper", closing, "0 (open) to 1 (closed)")
        with self._lock:
            wrong = wrong or self._idle()
            if not wrong:
                self._closing = closing
                self._stand_still()
        return self._count(wrong)

    def refuse(self, why: str) -> str:
        """Count a command that could not even be read; return `why`."""
        return self._count(why)

    def _take(self, command: PersonCommand, wrong: str, age: float) -> str:
        wrong = wrong or self._stale(age)
        with self._lock:
            wrong = wrong or self._idle()
            if not wrong:
                self._newest = self._clock() - max(0.0, age), command
        return self._count(wrong)

    def _stand_still(self) -> None:
        """Let the gripper be heard of: without a valid command nothing is asked for at all."""
        newest, now = self._newest, self._clock()
        if newest is None or now - newest[0] > self.limits.timeout:
            zero = np.zeros(self._joints or 6)
            self._newest = now, PersonCommand(zero, joints=bool(self._joints))

    def _count(self, wrong: str) -> str:
        with self._lock:
            self.accepted += not wrong
            self.refused += bool(wrong)
            self.refusal = wrong or self.refusal
        return wrong

    def _idle(self) -> str:
        return "" if self._takeover else "Ignored: nobody has taken over (bridge/takeover)."

    def _stale(self, age: float) -> str:
        limit = self.limits.timeout
        if abs(age) <= limit:
            return ""
        if math.isnan(age):
            return complaint("The stamp of a person's command", "none", "the time it is made at")
        return complaint("The age of a person's command", f"{age:.3f} s", f"at most {limit:g} s")

    def _wrong_twist(self, values: _Floats, frame: str) -> str:
        if frame != FRAME:
            return complaint("The frame of a person's twist", frame, f"{FRAME!r}")
        if values.shape != (6,) or not np.isfinite(values).all():
            return complaint("A person's twist", values.tolist(), "6 finite numbers")
        linear, angular = (float(np.linalg.norm(part)) for part in (values[:3], values[3:]))
        for name, speed, limit in (
            ("Linear speed of a person's twist [m/s]", linear, self.limits.linear),
            ("Angular speed of a person's twist [rad/s]", angular, self.limits.angular),
        ):
            if speed > limit * (1 + 1e-6):
                return complaint(name, f"{speed:.3f}", f"0 to {limit:g}")
        return ""

    def _wrong_joints(self, values: _Floats) -> str:
        if not self._joints or values.shape != (self._joints,):
            return complaint("A person's joint velocities", values.tolist(), f"{self._joints}")
        limit = self.limits.joint
        if not np.isfinite(values).all() or np.abs(values).max() > limit * (1 + 1e-6):
            allowed = f"finite numbers, {-limit:g} to {limit:g} rad/s"
            return complaint("A person's joint velocities", values.tolist(), allowed)
        return ""
