"""A lab's own arm by its contract: six axes, degrees, 10 Hz, other cameras, a JointTrajectory out.

The policy node is the real one, with a tiny pi0.5; the arm stands behind topics, as a controller's.
"""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
import torch
from action_msgs.msg import GoalStatus
from lerobot.configs.types import FeatureType, PolicyFeature
from patience import answer_of, eventually
from PIL import Image as Picture
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from robot_bench import RobotBench
from second_domain import SECOND_DOMAIN
from sensor_msgs.msg import CompressedImage, Image, JointState
from spinning import Spinning
from std_msgs.msg import Float64
from trajectory_msgs.msg import JointTrajectory

from vla_sae_ros.msg import ActionChunk
from vla_sae_ros.nodes.policy.policy_node import PolicyNode
from vla_sae_ros.policy.tiny.tiny_pi import PiSize, build_tiny_pi, save_tiny_pi
from vla_sae_ros.resources import resource
from vla_sae_ros.robot.drivers.simulated_driver import SimulatedDriver
from vla_sae_ros.robot.settings_file import load_robot
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header, to_image

pytestmark = pytest.mark.slow
CONTRACT = str(resource("config", "contracts", "six_axis.yaml"))
SETTINGS = load_robot("six_axis")
JOINTS = (
    "shoulder_pan_joint",
    "shoulder_lift_joint",
    "elbow_joint",
    "wrist_1_joint",
    "wrist_2_joint",
    "wrist_3_joint",
)
SIZE = PiSize(chunk=12, language=96)
REACH = 8.0  # [deg] around the pose in which it stands


class SixAxisArm(Node):
    """The second simulated robot: a controller of trajectories and two cameras."""

    def __init__(self, context: Context) -> None:
        super().__init__("six_axis_arm", context=context)
        self._arm = SimulatedDriver(SETTINGS.published, SETTINGS.reset_pose)
        self.trajectories: list[JointTrajectory] = []
        self.gripper: list[float] = []
        self.chunks: dict[int, ActionChunk] = {}
        self._states = self.create_publisher(JointState, "hw/joint_states", qos.SENSOR)
        self._front = self.create_publisher(CompressedImage, "cell/front/compressed", qos.SENSOR)
        self._hand = self.create_publisher(Image, "cell/hand/image_raw", qos.SENSOR)
        self.create_subscription(
            JointTrajectory, "arm_controller/joint_trajectory", self._follow, qos.EXECUTED
        )
        self.create_subscription(
            Float64,
            "gripper_command",
            lambda message: self.gripper.append(message.data),
            qos.EXECUTED,
        )
        self.create_subscription(ActionChunk, "policy/action_chunk", self._chunk, qos.EXECUTED)
        self.create_timer(0.02, self._tell)
        self.create_timer(0.1, self._film)

    def _follow(self, message: JointTrajectory) -> None:
        self.trajectories.append(message)
        self._arm.send(np.array(message.points[-1].positions))

    def _chunk(self, message: ActionChunk) -> None:
        self.chunks[message.chunk_id] = message

    def _tell(self) -> None:
        reading = self._arm.read()
        self._states.publish(
            JointState(
                header=to_header(self.get_clock().now().nanoseconds),
                name=[*JOINTS, "finger"],
                position=[*reading.q.tolist(), 0.5],
                velocity=[*reading.dq.tolist(), 0.0],
            )
        )

    def _film(self) -> None:
        header = to_header(self.get_clock().now().nanoseconds)
        pixels = np.full((48, 64, 3), 90, np.uint8)
        buffer = io.BytesIO()
        Picture.fromarray(pixels).save(buffer, "jpeg")
        self._front.publish(
            CompressedImage(header=header, format="jpeg", data=array("B", buffer.getvalue()))
        )
        self._hand.publish(to_image(pixels, header))


def policy_folder(folder: Path) -> Path:
    """Build a pi0.5 that thinks in degrees around the arm's pose."""
    picture = PolicyFeature(type=FeatureType.VISUAL, shape=(3, 64, 64))
    policy = build_tiny_pi(
        "pi05",
        SIZE,
        input_features={
            "observation.images.front": picture,
            "observation.images.hand": picture,
            "observation.state": PolicyFeature(type=FeatureType.STATE, shape=(7,)),
        },
        output_features={"action": PolicyFeature(type=FeatureType.ACTION, shape=(7,))},
        max_state_dim=8,
        max_action_dim=8,
    )
    pose = torch.tensor([*np.rad2deg(SETTINGS.reset_pose), 0.5], dtype=torch.float32)
    reach = torch.tensor([REACH] * 6 + [0.5])
    stats = {"mean": pose, "std": reach, "q01": pose - reach, "q99": pose + reach}
    save_tiny_pi(policy, SIZE, {"observation.state": stats, "action": stats}, folder)
    return folder


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[tuple[SixAxisArm, RobotBench]]:
    contexts = [Context(), Context()]
    for context in contexts:
        rclpy.init(context=context, domain_id=SECOND_DOMAIN)
    arm = SixAxisArm(contexts[0])
    policy = PolicyNode(
        context=contexts[1],
        parameter_overrides=[
            Parameter("policy", value=str(policy_folder(tmp_path / "policy"))),
            Parameter("contract", value=CONTRACT),
        ],
    )
    policy.start()
    spinning = Spinning(arm, policy)
    robot = RobotBench(
        robot="six_axis",
        contract=CONTRACT,
        actions="joint_positions",
        mode="ros2_control",
        hardware_states="hw/joint_states",
        gripper="topic",
        gripper_joint="finger",
        gripper_width=1.0,
    )
    yield arm, robot
    robot.close()
    spinning.close()
    for node in (arm, policy):
        node.destroy_node()
    for context in contexts:
        context.try_shutdown()


def test_a_contract_in_degrees_drives_another_arm_through_the_same_policy_node(cell):
    arm, robot = cell
    robot.enable()
    episode = robot.send(max_steps=100_000)  # a busy machine's policy misses the first ticks
    robot.until(lambda: sum(len(each.requested) > 0 for each in robot.commands) > 30)
    answer_of(episode.cancel_goal_async())
    assert answer_of(episode.get_result_async()).status == GoalStatus.STATUS_CANCELED
    moved = [each for each in robot.commands if len(each.requested)]
    eventually(lambda: {each.chunk_id for each in moved} <= arm.chunks.keys())
    for each in moved:  # what the policy said in degrees is what was asked of the arm, in radians
        chunk = arm.chunks[each.chunk_id]
        row = np.reshape(chunk.actions, (chunk.horizon, chunk.action_dim))[each.chunk_index]
        assert np.allclose(each.requested, np.deg2rad(row[:6]), atol=1e-6)
        assert len(each.sent) == 6
    eventually(lambda: arm.trajectories and arm.gripper)
    sent = arm.trajectories[-1]
    assert list(sent.joint_names) == list(JOINTS)
    assert sent.points[0].time_from_start.nanosec == pytest.approx(1e8, abs=1)
    assert arm.gripper and all(0.0 <= value <= 1.0 for value in arm.gripper)
    told = robot.joints[-1]
    assert list(told.name) == list(JOINTS)
    assert np.abs(np.array(told.position) - SETTINGS.reset_pose).max() > 0.005, "it has moved"
