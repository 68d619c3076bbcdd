"""Which nodes drive a Franka and which stand in for it in a rehearsal, and every system by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.parameters import Parameter, Value
from vla_sae_ros.resources import resource
from vla_sae_ros.systems.arguments import values_of
from vla_sae_ros.systems.pythons import POLICY_PYTHON
from vla_sae_ros.systems.simulation import (
    COMPILE,
    MAP,
    MONITOR_ARGUMENTS,
    PARAMS_FILE,
    RTC,
    SERVING,
    SIMULATION_ARGUMENTS,
    WATCH,
    NodeSpec,
    System,
    bundle_folders,
    namespace_of,
    own_python,
    policy_folder,
    policy_spec,
    pooled_for_monitor,
    recorder_spec,
    simulation_system,
    watching_specs,
    with_params_file,
)

CAMERAS = ("exterior_image_1_left", "exterior_image_2_left", "wrist_image_left")
CAMERA_ARGUMENTS = dict(zip(CAMERAS, ("exterior_1", "exterior_2", "wrist"), strict=True))
OWN_JOINTS = (("joint_states", "arm/joint_states"),)
"""The bridge's joint states carry the contract's names; a lab's own stand on /joint_states."""
SIMULATED_HOST = "127.0.0.2"
SIMULATED_START = 120.0
"""[s] that a simulated robot has to start on a busy computer, before the bridge misses it."""
RUN = f'run: vla-sae run --robot --instruction "..."; {WATCH}'

_COMMON = (
    Parameter("robot", "panda", "the arm and its limits: panda, fr3 or a file as in config/robots"),
    Parameter(
        "control",
        "joint_impedance",
        "how the arm follows in mode direct",
        choices=("joint_impedance", "joint_velocity", "cartesian_velocity"),
    ),
    Parameter("contract", "", "contract file; empty = DROID's"),
    Parameter("compressed", False, "cameras send CompressedImage on <topic>/compressed"),
    Parameter(
        "execute_steps", 8, "ticks of a chunk that are executed before the next is due", minimum=1
    ),
    Parameter("max_steps", 600, "step limit of an episode", minimum=1),
    Parameter(
        "backend",
        "torch",
        "inference backend; onnx: a policy that `vla-sae export` wrote",
        choices=("torch", "onnx"),
    ),
    COMPILE,
    POLICY_PYTHON,
    RTC,
    Parameter("device", "cpu", "device of the policy, e.g. cpu or cuda:0"),
    Parameter("threads", 1, "threads the policy computes with on a CPU", minimum=1),
    Parameter("bundles", (), "folders of SAE bundles; empty = every bundle beside the policy"),
    MAP,
    Parameter("record", True, "record a bag from the start"),
    Parameter("images", False, "with record: also record the camera pictures"),
    Parameter(
        "image_compression",
        "none",
        "compression of recorded pictures",
        choices=("none", "png", "jpeg"),
    ),
    Parameter("record_folder", "out/bags", "folder of the bags"),
    Parameter("audit_folder", "out/audit", "folder of the audit log"),
    Parameter("panel", False, "open the panel"),
    Parameter("markers", False, "publish markers for RViz and Foxglove"),
    *MONITOR_ARGUMENTS,
    Parameter("namespace", "", "namespace of every node, e.g. left"),
    PARAMS_FILE,
)

ROBOT_ARGUMENTS = (
    Parameter("policy", "", "folder of the policy; it must be given"),
    Parameter(
        "mode",
        "direct",
        "who moves the arm: direct connects to it (franky), ros2_control "
        "publishes to a controller that is already running",
        choices=("direct", "ros2_control", "simulated"),
    ),
    Parameter("robot_ip", "", "address of the robot, in mode direct"),
    Parameter("hand", "franka", "gripper in mode direct", choices=("franka", "none")),
    Parameter(
        "output",
        "joint_trajectory",
        "type of the controller's commands, in mode ros2_control",
        choices=("joint_trajectory", "joint_state", "twist", "forward"),
    ),
    Parameter("output_topic", "", "topic of these commands; empty = the default topic"),
    Parameter(
        "gripper", "none", "gripper in mode ros2_control", choices=("none", "action", "topic")
    ),
    Parameter(
        "actions", "droid", "meaning of an action's numbers", choices=("droid", "joint_positions")
    ),
    Parameter(
        "hardware_states",
        "/joint_states",
        "topic of the arm's joint states, in mode ros2_control",
    ),
    Parameter(
        "exterior_1",
        "",
        "topic of the first exterior camera's left image; empty = "
        "observation/image/exterior_image_1_left",
    ),
    Parameter("exterior_2", "", "topic of the second exterior camera's left image"),
    Parameter("wrist", "", "topic of the wrist camera's left image"),
    *_COMMON,
)

REHEARSAL_ARGUMENTS = (
    Parameter("policy", "", "folder of the policy; empty = a tiny random pi0.5, made offline"),
    Parameter("host", SIMULATED_HOST, "loopback address of the simulated robot"),
    Parameter(
        "time_scale",
        1.0,
        "robot seconds per second, below 1 for a slow machine",
        minimum=0.05,
        maximum=1.0,
    ),
    Parameter(
        "patience",
        0.2,
        "how long the robot's clock pauses while a command is late; 0: as strict as a real robot",
        unit="s",
        minimum=0.0,
        maximum=10.0,
    ),
    Parameter("width", 320, "width of the pictures [pixels]", minimum=16),
    Parameter("height", 180, "height of the pictures [pixels]", minimum=16),
    Parameter(
        "render_quality", "quick", "render quality of the pictures", choices=("quick", "full")
    ),
    *_COMMON,
)


def robot_system(given: Mapping[str, object]) -> System:
    """Return the system that runs a policy on a Franka; `given` overrides ROBOT_ARGUMENTS.

    Raises ConfigurationError, see system.simulation_system.
    """
    values = values_of(ROBOT_ARGUMENTS, given)
    if not values["policy"]:
        raise ConfigurationError(
            complaint(
                "argument 'policy'", "", "a policy's folder", "Rehearse without one: droid-sim."
            )
        )
    if values["mode"] == "direct" and not values["robot_ip"]:
        raise ConfigurationError(
            complaint(
                "argument 'robot_ip'",
                "",
                "the robot's address, in mode direct",
                "Or set the argument `mode` to ros2_control.",
            )
        )
    cameras = _camera_remappings(values)
    names = ["mode", "robot_ip", "hand", "output", "gripper", "actions", "hardware_states"]
    if values["output"] != "forward":  # there, the topic is the watchdog's
        names.append("output_topic")
    bridge = _bridge(values, {name: values[name] for name in names if values[name]})
    nodes = [_policy(values), bridge, recorder_spec(values), *watching_specs(values)]
    if values["mode"] == "ros2_control" and values["output"] == "forward":
        nodes.append(_watchdog(values))
    mapped = [replace(node, remappings=cameras + OWN_JOINTS) for node in nodes]
    mapped = with_params_file(mapped, values)
    return System("droid", tuple(mapped), namespace_of(values), RUN)


def rehearsal_system(given: Mapping[str, object]) -> System:
    """Return the system without hardware; `given` overrides REHEARSAL_ARGUMENTS.

    The bridge is the robot's own, in mode direct: it does not know that the robot is simulated.
    Raises ConfigurationError, see system.simulation_system.
    """
    values = values_of(REHEARSAL_ARGUMENTS, given)
    host = str(values["host"])
    simulated = NodeSpec(
        "robot",
        "simulated_robot_node",
        "vla_sae_ros.nodes.robot.simulated_robot_node",
        {
            "host": host,
            "robot": _model(values),
            "time_scale": values["time_scale"],
            "patience": values["patience"],
        },
        on_exit="restart",
        ready="serves at",
        environment=True,
    )
    cameras = NodeSpec(
        "cameras",
        "droid_scene_node",
        "vla_sae_ros.nodes.sim.droid_scene_node",
        {name: values[name] for name in ("width", "height", "render_quality")}
        | {"images": "both" if values["compressed"] else "raw"},
        on_exit="restart",
        ready="the scene is ready",
        environment=True,
    )
    policy = _policy(values) if values["policy"] else _random_policy(values)
    patience = {"start_patience": SIMULATED_START}
    bridge = _bridge(values, {"mode": "direct", "robot_ip": host, **patience})
    nodes = [simulated, cameras, policy, bridge, recorder_spec(values), *watching_specs(values)]
    nodes = with_params_file(nodes, values)
    return System("droid-sim", tuple(nodes), namespace_of(values), RUN)


def _policy(values: Mapping[str, Value]) -> NodeSpec:
    folder = policy_folder(str(values["policy"]), str(values["backend"]))
    spec = policy_spec(folder, bundle_folders(folder, values), values)
    return replace(spec, parameters={**spec.parameters, "contract": _contract(values)})


def _random_policy(values: Mapping[str, Value]) -> NodeSpec:
    module = "vla_sae_ros.nodes.policy.rehearsal_policy_node"
    return NodeSpec(
        "policy",
        "rehearsal_policy_node",
        module,
        {"contract": _contract(values), "threads": values["threads"], "rtc": values["rtc"]}
        | pooled_for_monitor(values),
        on_exit="restart",
        ready=SERVING,
        environment=True,
        python=own_python(values, module),
    )


def _bridge(values: Mapping[str, Value], more: Mapping[str, Value]) -> NodeSpec:
    parameters = {name: values[name] for name in ("robot", "control", "execute_steps", "max_steps")}
    parameters["contract"] = _contract(values)
    parameters["audit_folder"] = str(Path(str(values["audit_folder"])).absolute())
    return NodeSpec(
        "bridge",
        "robot_bridge_node",
        "vla_sae_ros.nodes.robot.robot_bridge_node",
        {**parameters, **more},
        ready="the arm is disabled",
    )


def _watchdog(values: Mapping[str, Value]) -> NodeSpec:
    """Return what alone may speak to a forward controller, which has no timeout of its own."""
    parameters: dict[str, Value] = {}
    if values["output_topic"]:
        parameters["controller_topic"] = values["output_topic"]
    module = "vla_sae_ros.nodes.robot.forward_watchdog_node"
    return NodeSpec("forward_watchdog", "forward_watchdog_node", module, parameters)


def _contract(values: Mapping[str, Value]) -> str:
    if values["contract"]:
        return str(Path(str(values["contract"])).expanduser().absolute())
    name = "droid_compressed.yaml" if values["compressed"] else "droid.yaml"
    return str(resource("config", "contracts", name))


def _camera_remappings(values: Mapping[str, Value]) -> tuple[tuple[str, str], ...]:
    suffix = "/compressed" if values["compressed"] else ""
    return tuple(
        (f"observation/image/{camera}{suffix}", f"{values[argument]}{suffix}")
        for camera, argument in CAMERA_ARGUMENTS.items()
        if values[argument]
    )


def _model(values: Mapping[str, Value]) -> str:
    """Return whose limits the simulated robot has; a lab's own file means a Panda."""
    return "fr3" if values["robot"] == "fr3" else "panda"


@dataclass(frozen=True)
class SystemKind:
    """A system that can be asked for by name: `describe` takes values for `arguments`."""

    summary: str
    arguments: tuple[Parameter, ...]
    describe: Callable[[Mapping[str, object]], System]


SYSTEMS = {
    "sim": SystemKind(
        "a policy in LIBERO, its features and the recorder", SIMULATION_ARGUMENTS, simulation_system
    ),
    "droid": SystemKind(
        "a policy on a Franka with DROID's conventions, its features and the recorder",
        ROBOT_ARGUMENTS,
        robot_system,
    ),
    "droid-sim": SystemKind(
        "the same against a simulated Franka and table: a rehearsal without hardware",
        REHEARSAL_ARGUMENTS,
        rehearsal_system,
    ),
}
"""Every system that can be asked for, by its name."""
