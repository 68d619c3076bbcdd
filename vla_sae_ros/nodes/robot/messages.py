"""Between the control loop's reports and their ROS messages."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState

from vla_sae_ros.core.commander import Commander
from vla_sae_ros.msg import RobotCommand, RobotState
from vla_sae_ros.robot.driver import Joints, RobotReading
from vla_sae_ros.robot.kinematics import FrankaKinematics
from vla_sae_ros.robot.next_steps import with_next_step
from vla_sae_ros.robot.outcome import TickOutcome
from vla_sae_ros.robot.reasons import Status
from vla_sae_ros.robot.report import LoopState
from vla_sae_ros.wire.conversions import to_header, to_joint_state, to_pose

BASE = "base"
"""Frame of the joints and of the hand's pose: where the arm is screwed on."""

LEVELS = {
    Status.OFFLINE: DiagnosticStatus.ERROR,
    Status.DISABLED: DiagnosticStatus.OK,
    Status.ENABLED: DiagnosticStatus.OK,
    Status.STOPPED: DiagnosticStatus.ERROR,
}


def to_robot_state(state: LoopState, stamp_ns: int) -> RobotState:
    """Return what `robot_state` says."""
    envelope = state.envelope
    return RobotState(
        header=to_header(stamp_ns),
        status=int(envelope.status),
        reason=envelope.reason or "",
        detail=with_next_step(envelope.detail, envelope.next_step),
        steering_revision=envelope.steering_revision,
        driver=state.driver,
        robot=state.robot,
        owner=envelope.owner,
        lease_left=envelope.lease_left,
        ticks=state.ticks,
        late_ticks=state.late_ticks,
        late_p99=0.0 if math.isnan(state.late_p99) else state.late_p99,
        sent=envelope.sent,
        limited=envelope.limited,
        refused=envelope.refused,
        held=envelope.held,
        stops=envelope.stops,
    )


def to_robot_command(outcome: TickOutcome, ticks: int, stamp_ns: int) -> RobotCommand:
    """Return one line of the audit log; a stop between ticks is told with the number of ticks."""
    message = RobotCommand(
        header=to_header(stamp_ns),
        tick=outcome.tick if outcome.tick >= 0 else ticks,
        measured=_doubles(outcome.measured),
        requested=_doubles(outcome.requested),
        sent=_doubles(outcome.sent),
        gripper=outcome.closing,
        limits=[str(limit) for limit in outcome.limits],
        refused=str(outcome.refused or ""),
        source=int(Commander.HOLD),
    )
    command = outcome.command
    if command is not None:
        message.source = int(command.source)
        message.episode_id, message.chunk_id = command.episode_id, command.chunk_id
        message.chunk_index = command.chunk_index
        message.steering_revision = command.steering_revision
    return message


def to_joints(reading: RobotReading, names: Sequence[str], stamp_ns: int) -> JointState:
    """Return the measured joints (N,), positions [rad] and velocities [rad/s]."""
    message = to_joint_state(names, reading.q, to_header(stamp_ns, BASE))
    message.velocity = _doubles(reading.dq)
    return message


def to_gripper(reading: RobotReading, stamp_ns: int) -> JointState:
    """Return the gripper as DROID measures it: joint "gripper", 0 = open, 1 = closed."""
    return to_joint_state(("gripper",), [1.0 - reading.opening], to_header(stamp_ns, BASE))


def to_tool_pose(kinematics: FrankaKinematics, q: Joints, stamp_ns: int) -> PoseStamped:
    """Return the tool point with the flange's orientation, for joints (7,) rad."""
    rotation = kinematics.flange(q)[:3, :3]
    return to_pose(kinematics.tool(q), _quaternion(rotation), to_header(stamp_ns, BASE))


def to_diagnostic(state: LoopState, names: str, values: dict[str, object]) -> DiagnosticStatus:
    """Return what /diagnostics says of a robot; `values` come after the loop's own."""
    envelope = state.envelope
    told: dict[str, object] = {
        "driver": state.driver,
        "owner": envelope.owner,
        "ticks": state.ticks,
        "late ticks": state.late_ticks,
        "skipped ticks": state.skipped_ticks,
        "late p99 [ms]": f"{1000 * state.late_p99:.2f}",
        "sent": envelope.sent,
        "limited": envelope.limited,
        "refused": envelope.refused,
        "held": envelope.held,
        "stops": envelope.stops,
        "reports dropped": state.dropped_reports,
        "real time": state.not_realtime or "yes",
        "sag": envelope.sag or "none",
        **values,
    }
    words = envelope.status.name.lower()
    if envelope.reason is not None:
        words += f", {with_next_step(envelope.said, envelope.next_step)}"
    if envelope.sag:
        words += f"; {envelope.sag}"
    level = LEVELS[envelope.status]
    if envelope.sag and level == DiagnosticStatus.OK:
        level = DiagnosticStatus.WARN
    return DiagnosticStatus(
        level=level,
        name=names,
        hardware_id=state.robot,
        message=words,
        values=[KeyValue(key=key, value=str(value)) for key, value in told.items()],
    )


def _doubles(values: Joints | None) -> array[float]:
    return array("d", () if values is None else np.asarray(values, np.float64).tolist())


def _quaternion(rotation: np.ndarray) -> np.ndarray:
    """Return (x, y, z, w) of a rotation matrix: the eigenvector of Bar-Itzhack's symmetric form."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    form = np.array(
        [
            [xx - yy - zz, 0, 0, 0],
            [yx + xy, yy - xx - zz, 0, 0],
            [zx + xz, zy + yz, zz - xx - yy, 0],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    _, vectors = np.linalg.eigh(form / 3.0)  # reads the lower triangle
    quaternion = vectors[:, -1]
    return quaternion if quaternion[3] >= 0 else -quaternion
