"""What the robot says of itself: franky-sim's FR3, with the name and limits of another model."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from franky_sim.franka_robot_protocol import FR3_URDF

from vla_sae_ros.robot.limits import RobotLimits


def urdf_for(limits: RobotLimits) -> str:
    """Return a URDF whose revolute joints have these limits."""
    root = ElementTree.fromstring(FR3_URDF)
    root.set("name", limits.name)
    arm = [joint for joint in root.iter("joint") if joint.get("type") == "revolute"]
    for place, joint in enumerate(arm[: len(limits.lower)]):
        limit = joint.find("limit")
        assert limit is not None
        limit.set("lower", f"{limits.lower[place]:.6g}")
        limit.set("upper", f"{limits.upper[place]:.6g}")
        limit.set("velocity", f"{limits.velocity[place]:.6g}")
    return ElementTree.tostring(root, encoding="unicode")
