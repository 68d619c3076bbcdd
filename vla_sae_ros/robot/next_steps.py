"""What a person does after each stop, before the recovery."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from vla_sae_ros.robot.reasons import Stop

SLOW_REHEARSAL = (
    "In the rehearsal on a slow computer: vla-sae up droid-sim --time-scale 0.5 --width 160 "
    "--height 90."
)
THEN = "Then recover (panel, or vla-sae run --robot --recover)."
"""After each of them."""

NEXT_STEPS: Mapping[Stop, str] = MappingProxyType(
    {
        Stop.OPERATOR_STOP: "Check that the arm can move safely.",
        Stop.LEASE_EXPIRED: (
            "Check that the client that enabled the arm still runs and that its network is not "
            "overloaded."
        ),
        Stop.STALE_COMMAND: (
            "Read the logs of policy and bridge: the policy ended, its chunks were refused, or it "
            "needs longer than the bridge's parameter policy_timeout, or this computer is too "
            f"slow. {SLOW_REHEARSAL}"
        ),
        Stop.STALE_READING: (
            "Check the robot's cable and its controller, that no load slows this computer down, "
            f"and that the clocks of both computers agree. {SLOW_REHEARSAL}"
        ),
        Stop.BAD_READING: (
            "Check the node that publishes the arm's joint states, and the bridge's parameters "
            "hardware_states and hardware_joints."
        ),
        Stop.WORKSPACE: (
            "If the hand holds a load, declare it (payload in the robot's file). Once enabled "
            "again, the arm moves inwards or along the edge, not further out."
        ),
        Stop.JOINT_RANGE: (
            "Move the joint away by hand, or recover and call bridge/way_back, which moves it back "
            "slowly."
        ),
        Stop.LATE_TICK: (
            "End what else loads this computer, keep it from suspending, and let the bridge run "
            f"with real-time priority (vla-sae doctor). {SLOW_REHEARSAL}"
        ),
        Stop.TRACKING_ERROR: (
            "Remove what blocks the arm. If nothing does, declare its load (payload in the robot's "
            "file)."
        ),
        Stop.COLLISION_REFLEX: (
            "Remove what the arm has touched. If it touched nothing, declare its load (payload in "
            "the robot's file)."
        ),
        Stop.REFLEX: (
            "Look up the robot's error in Desk, and bring the arm back into its limits by hand if "
            "it is outside."
        ),
        Stop.COMM_LOSS: (
            "Check the cable and the load of this computer (docs/robot.md, Wiring and network; "
            f"vla-sae doctor). {SLOW_REHEARSAL}"
        ),
        Stop.USER_STOP: "Release the user stop (the external activation device).",
        Stop.CONTROL_LOST: (
            "End what else commands this arm, and check its operating mode and its controller."
        ),
        Stop.DISCONNECTED: (
            "Check the robot's power, cable and address, and that FCI is activated in Desk."
        ),
        Stop.DRIVER_ERROR: "Read the bridge's log, which has the driver's error.",
        Stop.SOURCE_ERROR: (
            "Read the bridge's log, which has the error's trace, and report it: this is a defect "
            "of the bridge."
        ),
    }
)


def with_next_step(words: str, next_step: str) -> str:
    """Return what happened and what to do about it, as sentences; `next_step` may be empty."""
    if not next_step:
        return words
    return f"{words.rstrip('.')}. {next_step}" if words else next_step
