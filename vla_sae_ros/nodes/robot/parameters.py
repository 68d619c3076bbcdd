"""The robot bridge's parameters; what belongs to the arm itself stands in config/robots/*.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from vla_sae_ros.core.contract import Contract
from vla_sae_ros.core.contract.messages import split_joint
from vla_sae_ros.core.parameters import parameter, parameters_of
from vla_sae_ros.nodes.episode.episode import Pacing
from vla_sae_ros.nodes.episode.person_parameters import PersonParameters


@dataclass(frozen=True)
class RobotBridgeParameters(PersonParameters):
    """The robot bridge's."""

    robot: str = parameter("panda", "the arm and its limits: a name among config/robots or a file")
    contract: str = parameter("", "contract file that defines the actions; empty = DROID's")
    actions: str = parameter(
        "droid",
        "meaning of an action's numbers: DROID's joint velocities of 0.2 rad "
        "per tick, or joint positions in the contract's units",
        choices=("droid", "joint_positions"),
    )
    mode: str = parameter(
        "simulated",
        "who moves the arm: direct connects to a Franka (franky), ros2_control "
        "publishes to a controller, simulated only computes an arm",
        choices=("direct", "ros2_control", "simulated"),
    )
    robot_ip: str = parameter("", "mode direct: the robot's address")
    start_patience: float = parameter(
        0.0,
        "time after the start in which a robot that does not answer is not warned of; for a "
        "simulated robot that starts together with this node",
        unit="s",
        minimum=0.0,
        maximum=600.0,
    )
    control: str = parameter(
        "joint_impedance",
        "mode direct: how the arm follows its targets; joint impedance is DROID's",
        choices=("joint_impedance", "joint_velocity", "cartesian_velocity"),
    )
    hand: str = parameter(
        "franka",
        "mode direct: the gripper; none: another node publishes `gripper` and "
        "moves it according to robot_command",
        choices=("franka", "none"),
    )
    output: str = parameter(
        "joint_trajectory",
        "mode ros2_control: type of the controller's commands",
        choices=("joint_trajectory", "joint_state", "twist", "forward"),
    )
    output_topic: str = parameter(
        "", "mode ros2_control: topic of the commands; empty = the default topic of the output"
    )
    hardware_states: str = parameter(
        "/joint_states", "mode ros2_control: topic of the arm's joint states"
    )
    hardware_joints: tuple[str, ...] = parameter(
        (),
        "mode ros2_control: the arm's joint names in hardware_states, base to "
        "flange; empty = fr3_joint1 to fr3_joint7",
    )
    twist_frame: str = parameter(
        "", "mode ros2_control, twist: frame of the commands; empty = <model>_link0"
    )
    gripper: str = parameter(
        "none",
        "mode ros2_control: how the gripper is commanded: none = not at all, "
        "action = control_msgs/GripperCommand, topic = std_msgs/Float64 on "
        "gripper_command",
        choices=("none", "action", "topic"),
    )
    gripper_action: str = parameter("/franka_gripper/gripper_action", "name of the gripper action")
    gripper_joint: str = parameter(
        "fr3_finger_joint1", "finger joint of the gripper in hardware_states"
    )
    gripper_width: float = parameter(
        0.04,
        "stroke of the finger joint and of the gripper action: Franka hand "
        "0.04 m, Robotiq 2F-85 0.8 rad",
        unit="m or rad",
        minimum=0.001,
        maximum=3.2,
    )
    gripper_sense: str = parameter(
        "auto",
        "meaning of position 0 of the finger joint: closed (Franka hand) or "
        "open (Robotiq knuckle); auto: open if the joint's name contains "
        "robotiq or knuckle",
        choices=("auto", "zero_is_closed", "zero_is_open"),
    )
    gripper_effort: float = parameter(
        40.0, "maximum force of the gripper action", unit="N", minimum=0.0, maximum=1000.0
    )
    execute_steps: int = parameter(
        8,
        "open-loop horizon: ticks of a chunk that are executed before the next "
        "chunk is due; chunks may be longer",
        unit="control ticks",
        minimum=1,
        maximum=1000,
    )
    request_lead: int = parameter(
        3,
        "the next chunk is requested at least this long before the current one ends",
        unit="control ticks",
        minimum=0,
        maximum=1000,
    )
    longest_chunk: int = parameter(
        100,
        "largest number of rows of a chunk; longer chunks are refused",
        unit="control ticks",
        minimum=1,
        maximum=1000,
    )
    resend_after: float = parameter(
        0.5,
        "time after which an unanswered request is repeated with a newer observation",
        unit="s",
        minimum=0.05,
        maximum=60.0,
    )
    policy_timeout: float = parameter(
        3.0,
        "time without an answer after which the policy counts as lost and the arm is stopped",
        unit="s",
        minimum=0.2,
        maximum=120.0,
        live=True,
    )
    max_steps: int = parameter(
        600,
        "step limit of a goal that gives none",
        unit="control ticks",
        minimum=1,
        maximum=1_000_000,
    )
    audit_folder: str = parameter(
        "out/audit",
        "folder of the audit log, which in a namespace is in a folder of that name; empty = none",
    )


OUTPUTS = {
    "trajectory_msgs/msg/JointTrajectory": "joint_trajectory",
    "sensor_msgs/msg/JointState": "joint_state",
}
"""Message type of a contract's action to the output that fills it."""


PARAMETERS = parameters_of(RobotBridgeParameters)
"""As data: name, default, what it is for."""


def with_contract(values: RobotBridgeParameters, contract: Contract) -> RobotBridgeParameters:
    """Return the parameters with the controller's topic, type and joints from the contract, where
    its action names a controller and the parameters do not."""
    source = contract.action.sources[0]
    if values.output_topic or source.channel.type not in OUTPUTS:
        return values
    joints = tuple(split_joint(path)[1] for path in source.select)
    return replace(
        values,
        output=OUTPUTS[source.channel.type],
        output_topic=source.channel.topic,
        hardware_joints=values.hardware_joints or joints,
    )


def pacing(values: RobotBridgeParameters, control_rate: float) -> Pacing:
    """Return the pacing among the node's parameters; control_rate in Hz."""
    return Pacing(
        control_rate=control_rate,
        execute_steps=values.execute_steps,
        request_lead=values.request_lead,
        resend_after=values.resend_after,
    )


def with_defaults(values: Mapping[str, Any]) -> RobotBridgeParameters:
    """Return the parameters with these values; what is not given keeps its default."""
    known = {each.name for each in fields(RobotBridgeParameters)}
    given = {name: value for name, value in values.items() if name in known}
    return RobotBridgeParameters(**given)
