"""Reading config/robots/*.yaml; what cannot be meant is refused by its key."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vla_sae_ros.core.contract.fields import Fields
from vla_sae_ros.core.errors import ConfigurationError, ContractError, complaint
from vla_sae_ros.core.yaml_document import read_yaml
from vla_sae_ros.resources import resource
from vla_sae_ros.robot.driver import Joints
from vla_sae_ros.robot.kinematics import FrankaKinematics
from vla_sae_ros.robot.limits import PUBLISHED, RobotLimits
from vla_sae_ros.robot.settings import Payload, Place, RobotSettings
from vla_sae_ros.robot.workspace import Workspace

FASTEST_HZ = 200.0
FURTHEST, LARGEST_TOOL = 5.0, 1.0
"""[m] of the box's sides from the base, and of a tool or load from the flange: more is in mm."""
LARGEST_INERTIA = 10.0
"""[kg m^2]"""
LARGEST_ANGLE, FASTEST = 100.0, 30.0
"""[rad, rad/s] of another arm's limits: more is in degrees."""


def load_robot(name: str) -> RobotSettings:
    """Read a file, or the shipped one of that name ("panda", "fr3").

    Raises:
        ConfigurationError: it cannot be read, or a value in it cannot be used.
    """
    path = Path(name) if "/" in name or name.endswith(".yaml") else _shipped(name)
    content = read_yaml(path)
    try:
        return parse_robot(content.value())
    except (ContractError, ConfigurationError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


def parse_robot(document: object) -> RobotSettings:
    """Return what a loaded YAML document describes; raises ContractError naming the key."""
    top = Fields(document, "")
    robot = top.text("robot")
    published = _published(top)
    scale = top.section("scale")
    limits = published.scaled(
        *(scale.number(key, 0.001, 1.0) for key in ("velocity", "acceleration", "jerk"))
    )
    scale.done()
    settings = RobotSettings(
        robot=robot,
        published=published,
        limits=limits,
        margin=top.number("joint_margin", 0.01, 0.5),
        max_joint_step=top.number("max_joint_step", 0.001, 0.5),
        max_tracking_error=top.number("max_tracking_error", 0.01, 1.0),
        place=_place(top, robot),
        rate=top.number("rate", 1.0, FASTEST_HZ),
        watchdog=top.number("watchdog", 0.01, 0.5),
        max_reading_age=top.number("max_reading_age", 0.005, 0.5),
        lease=top.number("lease", 0.2, 10.0),
        steering_slew=top.number("steering_slew", 0.01, 20.0),
        reset_pose=_vector(top, "reset_pose", len(limits.lower)),
        reaction=top.number("reaction", 0.0, 0.5, default=0.0),
        payload=_payload(top),
    )
    top.done()
    _check(settings)
    return settings


def _shipped(name: str) -> Path:
    folder = resource("config", "robots")
    path = folder / f"{name}.yaml"
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise ConfigurationError(complaint("Unknown robot", name, f"{shipped}, or a .yaml file"))
    return path


def _vector(
    fields: Fields, key: str, size: int | None = None, largest: float = np.inf, unit: str = ""
) -> Joints:
    """Take `size` finite numbers, or one or more, of at most `largest`."""
    value = fields.take(key)
    numbers = value if isinstance(value, list) else []
    fits = len(numbers) == size if size is not None else len(numbers) > 0
    if fits and all(type(each) in (int, float) for each in numbers):
        vector = np.array(numbers, float)
        if np.isfinite(vector).all() and (np.abs(vector) <= largest).all():
            return vector
    allowed = f"{size or 'one or more'} finite numbers"
    if np.isfinite(largest):
        allowed += f" from {-largest:g} to {largest:g} {unit}"
    raise ContractError(complaint(fields.path(key), value, allowed))


def _published(top: Fields) -> RobotLimits:
    """Take `limits`: the name of a published table, or the numbers of another arm."""
    value = top.take("limits")
    if isinstance(value, str):
        if value not in PUBLISHED:
            allowed = f"{', '.join(PUBLISHED)}, or the limits themselves"
            raise ContractError(complaint("limits", value, allowed))
        return PUBLISHED[value]
    fields = Fields(value, "limits")
    lower = _vector(fields, "lower", largest=LARGEST_ANGLE, unit="rad")
    upper = _vector(fields, "upper", len(lower), LARGEST_ANGLE, "rad")
    velocity = _vector(fields, "velocity", len(lower), FASTEST, "rad/s")
    acceleration, jerk = (_vector(fields, key, len(lower)) for key in ("acceleration", "jerk"))
    fields.done()
    for key, wrong in (
        ("upper", (upper <= lower).any()),
        ("velocity", (velocity <= 0).any()),
        ("acceleration", (acceleration <= 0).any()),
        ("jerk", (jerk <= 0).any()),
    ):
        if wrong:
            allowed = "above lower for every joint" if key == "upper" else "above 0 for every joint"
            raise ContractError(complaint(f"limits.{key}", value[key], allowed))
    return RobotLimits("own", lower, upper, velocity, acceleration, jerk)


def _place(top: Fields, robot: str) -> Place | None:
    """Take what needs forward kinematics; `kinematics: none` says that nobody guards it."""
    if top.choice("kinematics", ("franka", "none")) == "none":
        return None
    tool = _vector(top, "tool", 3, LARGEST_TOOL, "m")
    box = top.section("workspace")
    lower, upper = (_vector(box, key, 3, FURTHEST, "m") for key in ("lower", "upper"))
    if (upper <= lower).any():
        raise ContractError(complaint("workspace.upper", upper.tolist(), "above workspace.lower"))
    workspace = Workspace(
        lower,
        upper,
        table_height=box.number("table_height", -2.0, 1.0),
        tool_clearance=box.number("tool_clearance", 0.0, 0.5),
        arm_clearance=box.number("arm_clearance", 0.0, 0.5),
    )
    box.done()
    step = top.number("max_ee_step", 0.001, 0.2)
    return Place(FrankaKinematics(tool), workspace, step)


def _payload(top: Fields) -> Payload | None:
    """Take the load on the flange, if the file names one."""
    value = top.take("payload", None)
    if value is None:
        return None
    fields = Fields(value, "payload")
    mass = fields.number("mass", 0.0, 20.0)
    centre = _vector(fields, "centre", 3, LARGEST_TOOL, "m")
    inertia = _vector(fields, "inertia", 3, LARGEST_INERTIA, "kg m^2")
    fields.done()
    if (inertia < 0).any():
        raise ContractError(complaint("payload.inertia", inertia.tolist(), "0 or above"))
    return Payload(mass, centre, inertia)


def _check(settings: RobotSettings) -> None:
    """Refuse values that each are fine and together are not."""
    limits, published, margin = settings.limits, settings.published, settings.margin
    if settings.watchdog < 1.5 * settings.period:
        allowed = f"at least one and a half ticks, {1.5 * settings.period:.3f} s"
        raise ContractError(complaint("watchdog", settings.watchdog, allowed))
    if (limits.upper - limits.lower <= 2 * margin).any():
        raise ContractError(complaint("joint_margin", margin, "less than half of every range"))
    pose = settings.reset_pose
    if (pose < limits.lower + margin).any() or (pose > limits.upper - margin).any():
        allowed = "inside every joint's range less the margin"
        raise ContractError(complaint("reset_pose", pose.tolist(), allowed))
    if settings.place is not None and len(limits.lower) != 7:
        raise ContractError(complaint("kinematics", "franka", "none, for an arm of other joints"))
    _check_edges(limits, published, margin, settings.period)


def _check_edges(limits: RobotLimits, published: RobotLimits, margin: float, period: float) -> None:
    """Refuse to brake so late that the robot's own velocity limit near its ends is exceeded."""
    for share in np.linspace(0.05, 1.0, 20):
        velocity = share * limits.velocity
        braking = velocity**2 / (2 * limits.acceleration) - velocity * period / 2
        distance = margin + np.maximum(0.0, braking)
        _, up = published.velocity_range(limits.upper - distance)
        down, _ = published.velocity_range(limits.lower + distance)
        if (velocity > np.minimum(up, -down)).any():
            joint = int(np.argmax(velocity - np.minimum(up, -down))) + 1
            raise ContractError(
                f"scale and joint_margin let joint {joint} come closer to the end of its range at "
                f"{velocity[joint - 1]:.2f} rad/s than {published.name} allows; allowed: a smaller "
                "scale.velocity, a smaller scale.acceleration or a larger joint_margin."
            )
