"""A policy without a model, for the robot benches: real observation intake, prescribed actions."""

from __future__ import annotations

import json

import numpy as np
from rclpy.node import Node
from std_msgs.msg import String

from vla_sae_ros.core.contract import load_contract
from vla_sae_ros.msg import ActionChunk
from vla_sae_ros.nodes.base.running import run_node
from vla_sae_ros.nodes.policy.inference_worker import Job
from vla_sae_ros.nodes.policy.observation_intake import ObservationIntake
from vla_sae_ros.resources import resource
from vla_sae_ros.robot.droid import MAX_JOINT_DELTA, RESET_POSE
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_floats, to_header

KEYS = (
    "observation.images.exterior_image_1_left",
    "observation.images.wrist_image_left",
    "observation.state",
)
HORIZON, ACTION_DIM = 15, 8
SWING = 0.4  # [rad]


class SteadyPolicy(Node):
    """Answers every complete request; `bench/policy` says with what."""

    def __init__(self) -> None:
        super().__init__("policy")
        self._contract = load_contract(resource("config", "contracts", "droid.yaml"))
        self._behaviour: dict = {"kind": "wave"}
        self._chunk_id = 0
        self._start = self.get_clock().now().nanoseconds
        self._chunks = self.create_publisher(ActionChunk, "policy/action_chunk", qos.CHUNK)
        self.create_subscription(String, "bench/policy", self._told, 1)
        self._intake = ObservationIntake(self, self._contract.observing(KEYS), self._answer)

    def _told(self, message: String) -> None:
        self._behaviour = json.loads(message.data)

    def _answer(self, job: Job) -> None:
        behaviour = self._behaviour
        kind = behaviour["kind"]
        rows = int(behaviour.get("rows", HORIZON))
        actions = np.zeros((rows, ACTION_DIM), np.float32)
        ticks = job.step + np.arange(rows)
        actions[:, :7] = _towards(job.frame["observation.state"][:7], ticks)
        if kind == "joint":
            actions[:] = 0
            actions[:, behaviour["joint"]] = behaviour["value"]
        elif kind == "nan":
            actions[3, 2] = np.nan
        elif kind == "narrow":
            actions = actions[:, :7]
        self._chunk_id += 1
        self._chunks.publish(
            ActionChunk(
                header=to_header(job.stamp_ns),
                episode_id=job.episode_id,
                policy_start=self._start,
                chunk_id=self._chunk_id,
                steering_revision=int(behaviour.get("revision", 0)),
                observation_step=max(0, job.step - int(behaviour.get("age", 0))),
                control_rate=float(behaviour.get("rate", self._contract.fps)),
                horizon=len(actions),
                action_dim=actions.shape[1],
                actions=to_floats(actions),
            )
        )


def _towards(q: np.ndarray, ticks: np.ndarray) -> np.ndarray:
    """Return (rows, 7) DROID actions: joint 1 swings around the reset pose, the others go there."""
    goal = np.tile(RESET_POSE, (len(ticks), 1))
    goal[:, 0] += SWING * np.sin(2 * np.pi * ticks / 45)
    return np.clip((goal - q) / MAX_JOINT_DELTA, -0.5, 0.5)


if __name__ == "__main__":
    raise SystemExit(run_node(SteadyPolicy))
