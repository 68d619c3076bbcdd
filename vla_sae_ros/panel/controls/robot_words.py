"""A robot's state in words. Pure functions."""

from __future__ import annotations

from vla_sae_ros.panel.state.values import RobotView


def robot_words(robot: RobotView | None) -> str:
    """Return how the robot stands, in some lines."""
    if robot is None:
        return "The bridge has not reported the robot's state yet."
    lines = [f"{robot.robot} ({robot.driver}): {robot.status}"]
    if robot.enabled:
        lines[0] += f" by {robot.owner}, {robot.lease_left:.1f} s left"
    if robot.reason:
        lines.append(f"{robot.reason}: {robot.detail}")
    if robot.status == "STOPPED":
        lines.append("Recover, then enable, to continue.")
    return "\n".join(lines)


def robot_counts(robot: RobotView | None) -> str:
    """Return what the robot's loop has counted, in two lines; empty where it said nothing."""
    if robot is None:
        return ""
    counts = {
        "sent": robot.sent,
        "limited": robot.limited,
        "refused": robot.refused,
        "held": robot.held,
        "stops": robot.stops,
    }
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    return (
        f"{told}\n{robot.ticks} ticks, {robot.late_ticks} late, "
        f"p99 {1000 * robot.late_p99:.1f} ms late"
    )
