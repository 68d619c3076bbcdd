"""What is measured while an arm is commanded: it must be news, follow, and stay where it may be."""

from __future__ import annotations

import numpy as np

from vla_sae_ros.robot.driver import Joints, RobotReading
from vla_sae_ros.robot.envelope.reading_guard import Problem
from vla_sae_ros.robot.envelope.shaping import Shaping
from vla_sae_ros.robot.reasons import Stop
from vla_sae_ros.robot.settings import RobotSettings

BREACH = 1.5e-3
"""[m] by which the measured arm may be further out than what is commanded ever is."""
LEADING = 0.01
"""[rad] by which a target has to lead before an arm is expected to move."""
STUCK_SHARE = 0.75
"""of the longest lead there is; an arm that a target leads by as much has to get on towards it."""
_PROGRESS = 0.01
"""[rad]"""
SAG = 0.03
"""[rad] between a resting target and the arm; more is the weight of a load nobody named."""
_RESTING = 1.0
"""[s] for which a target has to rest before the arm is expected to be there."""
NOTHING = 0.005
"""[rad] of lead up to which an action asks for no motion."""
NAME_IT = "declare the load (payload in the robot's file)"


class MeasuredGuard:
    """Of one enabled stretch; looks at every reading, also between ticks."""

    def __init__(self, settings: RobotSettings, shaping: Shaping) -> None:
        self._settings, self._shaping = settings, shaping
        self._lower = settings.limits.lower + settings.margin / 2
        self._upper = settings.limits.upper - settings.margin / 2
        self.start()

    def start(self) -> None:
        """Forget the stretch before."""
        self._same_since: RobotReading | None = None
        self._stuck: tuple[float, int, float] | None = None  # since, joint, where it was
        self._resting: tuple[float, Joints] | None = None
        self._idle: Joints | None = None  # where it was when nothing was asked of it any more
        self._hangs = self._sinks = ""
        self._innermost = np.inf  # [m] outside: least far that the arm was measured

    @property
    def sag(self) -> str:
        """Return in words how far the arm hangs below a target that rests, or sinks while no
        motion is asked for; empty: it does not."""
        return self._hangs or self._sinks

    def asked(self, q: Joints, target: Joints | None) -> None:
        """Note what an action asks for, (N,) rad, while (N,) rad is measured; None: to hold.

        A target that follows the measured arm, as DROID's do, sinks with it.
        """
        if target is None or np.abs(target - q).max() > NOTHING:
            self._idle, self._sinks = None, ""
            return
        if self._idle is None:
            self._idle = q.copy()
        moved = np.abs(q - self._idle)
        joint = int(np.argmax(moved))
        if moved[joint] > SAG:
            self._sinks = (
                f"joint {joint + 1} has moved by {moved[joint]:.3f} rad while no motion was "
                f"commanded: {NAME_IT}"
            )

    def problem(self, reading: RobotReading) -> Problem | None:
        """Return why the arm has to be stopped, or None; call it only once it is commanded."""
        commanded = self._shaping.commanded
        if commanded is None:
            return None
        lead = commanded - reading.q
        self._note_sag(reading, commanded, lead)
        return (
            self._breach(reading.q)
            or self._frozen(reading, lead)
            or self._tracking(lead)
            or self._stuck_at(reading, lead)
        )

    def _breach(self, q: Joints) -> Problem | None:
        beyond = np.maximum(self._lower - q, q - self._upper)
        joint = int(np.argmax(beyond))
        if beyond[joint] > max(0.0, float(self._shaping.beyond[joint])):
            return Stop.JOINT_RANGE, (
                f"joint {joint + 1} is measured at {q[joint]:.3f} rad, more than half into its "
                "margin"
            )
        outside = self._shaping.outside(q)
        # What is sent moves in first and the arm follows: it may be as far out as it last was.
        self._innermost = min(self._innermost, self._shaping.began_outside, outside)
        allowed = max(self._shaping.edge, self._innermost) + BREACH
        if outside <= allowed:
            return None
        return Stop.WORKSPACE, (
            f"the arm is measured {1000 * outside:.1f} mm outside its workspace; allowed: "
            f"{1000 * allowed:.1f} mm. Does the hand hold an undeclared load?"
        )

    def _frozen(self, reading: RobotReading, lead: Joints) -> Problem | None:
        first = self._same_since
        if first is None or not np.array_equal(first.q, reading.q) or not self._led(lead):
            self._same_since = reading
            return None
        frozen = reading.stamp - first.stamp
        if frozen <= self._settings.max_frozen:
            return None
        return Stop.STALE_READING, (
            f"the joint states repeat the same values for {frozen:.3f} s while the arm is "
            f"commanded to move; allowed: {self._settings.max_frozen:g} s"
        )

    def _led(self, lead: Joints) -> bool:
        return self._shaping.moving and float(np.abs(lead).max()) > LEADING

    def _tracking(self, lead: Joints) -> Problem | None:
        joint, limit = int(np.argmax(np.abs(lead))), self._settings.max_tracking_error
        if abs(lead[joint]) <= limit:
            return None
        return Stop.TRACKING_ERROR, (
            f"joint {joint + 1} is {abs(lead[joint]):.3f} rad away from what was sent; allowed: "
            f"{limit:g} rad"
        )

    def _stuck_at(self, reading: RobotReading, lead: Joints) -> Problem | None:
        """A target never leads by more than `max_joint_step`: what stands there gets nowhere."""
        joint = int(np.argmax(np.abs(lead)))
        q, sign = reading.q[joint], np.sign(lead[joint])
        if abs(lead[joint]) < STUCK_SHARE * self._settings.max_joint_step:
            self._stuck = None
            return None
        if self._stuck is None or self._stuck[1] != joint:
            self._stuck = (reading.stamp, joint, q)
        since, _, where = self._stuck
        if sign * (q - where) > _PROGRESS:
            self._stuck = (reading.stamp, joint, q)
            return None
        if reading.stamp - since <= self._settings.max_stuck:
            return None
        return Stop.TRACKING_ERROR, (
            f"joint {joint + 1} makes no progress: it has been {abs(lead[joint]):.3f} rad away "
            f"from what is sent for {reading.stamp - since:.1f} s"
        )

    def _note_sag(self, reading: RobotReading, commanded: Joints, lead: Joints) -> None:
        resting = self._resting
        if resting is None or np.abs(resting[1] - commanded).max() > _PROGRESS:
            self._resting, self._hangs = (reading.stamp, commanded.copy()), ""
            return
        joint = int(np.argmax(np.abs(lead)))
        if reading.stamp - resting[0] > _RESTING:
            told = abs(lead[joint]) > SAG
            words = (
                f"joint {joint + 1} rests {abs(lead[joint]):.3f} rad from its commanded position: "
                f"{NAME_IT}"
            )
            self._hangs = words if told else ""
