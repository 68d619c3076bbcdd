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
    contract: str = parameter("", "contract file that says what actions are; empty = DROID's")
    actions: str = parameter(
        "droid",
        "what an action's numbers mean: DROID's joint velocities of 0.2 "
        "rad per tick, or joint positions in the contract's units",
        choices=("droid", "joint_positions"),
    )
    mode: str = parameter(
        "simulated",
        "who moves the arm: direct speaks to a Franka (franky), "
        "ros2_control publishes to a controller, simulated moves numbers only",
        choices=("direct", "ros2_control", "simulated"),
    )
    robot_ip: str = parameter("", "mode direct: the robot's address")
    control: str = parameter(
        "joint_impedance",
        "mode direct: how the arm follows its targets; joint impedance is DROID's",
        choices=("joint_impedance", "joint_velocity", "cartesian_velocity"),
    )
    hand: str = parameter(
        "franka",
        "mode direct: the gripper; none: somebody else publishes `gripper` "
        "and closes it by robot_command",
        choices=("franka", "none"),
    )
    output: str = parameter(
        "joint_trajectory",
        "mode ros2_control: what the controller takes",
        choices=("joint_trajectory", "joint_state", "twist", "forward"),
    )
    output_topic: str = parameter("", "mode ros2_control: empty = the usual one of the output")
    hardware_states: str = parameter("/joint_states", "mode ros2_control: joint states of the arm")
    hardware_joints: tuple[str, ...] = parameter(
        (),
        "mode ros2_control: the arm's joint names there, base to "
        "flange; empty = fr3_joint1 to fr3_joint7",
    )
    twist_frame: str = parameter(
        "", "mode ros2_control, twist: frame of the commands; empty = <model>_link0"
    )
    gripper: str = parameter(
        "none",
        "mode ros2_control: how the gripper is commanded: not at all, by "
        "the action control_msgs/GripperCommand, or by std_msgs/Float64 on gripper_command",
        choices=("none", "action", "topic"),
    )
    gripper_action: str = parameter("/franka_gripper/gripper_action", "name of that action")
    gripper_joint: str = parameter("fr3_finger_joint1", "its finger joint in hardware_states")
    gripper_width: float = parameter(
        0.04,
        "stroke of that joint, and of the action: Franka's hand 0.04 m, Robotiq 2F-85 0.8 rad",
        unit="m or rad",
        minimum=0.001,
        maximum=3.2,
    )
    gripper_sense: str = parameter(
        "auto",
        "position 0 of that joint: closed as Franka's hand's fingers, open as a Robotiq's "
        "knuckle; auto: open where the joint's name says robotiq or knuckle",
        choices=("auto", "zero_is_closed", "zero_is_open"),
    )
    gripper_effort: float = parameter(
        40.0, "with which the action may push", unit="N", minimum=0.0, maximum=1000.0
    )
    execute_steps: int = parameter(
        8,
        "ticks of a chunk that are executed before the next one is due: "
        "the open-loop horizon; chunks may be longer",
        unit="control ticks",
        minimum=1,
        maximum=1000,
    )
    request_lead: int = parameter(
        3,
        "the next chunk is asked for at least this long before the present one ends",
        unit="control ticks",
        minimum=0,
        maximum=1000,
    )
    longest_chunk: int = parameter(
        100, "a chunk of more rows is refused", unit="control ticks", minimum=1, maximum=1000
    )
    resend_after: float = parameter(
        0.5,
        "a request without an answer is made again, from a newer observation, after this time",
        unit="s",
        minimum=0.05,
        maximum=60.0,
    )
    policy_timeout: float = parameter(
        3.0,
        "a policy that answers nothing for this long is lost: the arm is stopped",
        unit="s",
        minimum=0.2,
        maximum=120.0,
        live=True,
    )
    max_steps: int = parameter(
        600,
        "step limit of a goal that names none",
        unit="control ticks",
        minimum=1,
        maximum=1_000_000,
    )
    audit_folder: str = parameter("out/audit", "folder of the audit log; empty = none")


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
