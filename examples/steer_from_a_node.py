"""Steer the policy from a node of your own, by what the robot does: here, while the hand is low.

    vla-sae up sim                          # in another terminal
    python examples/steer_from_a_node.py    # Ctrl-C ends it; so does the end of the
                                            # first episode in which it steered

You see a line when the node sets its edit and when it releases it, and in between, for each
inference, what the feature would have been and what it was made. When this program is gone, its
heartbeat is gone with it, and the policy lets the edit go by itself.
"""

from __future__ import annotations

import argparse

import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node

from vla_sae_ros.core.steering import Edit, Mode, Unit
from vla_sae_ros.msg import EpisodeState, FeatureActivations, SteeringEdit, SteeringLease
from vla_sae_ros.srv import SetSteering
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.steering_messages import from_edit

LEASE = 5.0  # [s] that the policy keeps the edit after the last heartbeat


class HeightSteering(Node):
    """Clamps one feature while the hand is below a height."""

    def __init__(self, edit: Edit, below: float) -> None:
        super().__init__("height_steering")
        self._edit, self._below, self._steers = edit, below, False
        self._has_steered = False
        self.done = rclpy.Future()
        self._set = self.create_client(SetSteering, "steering/set")
        self._heartbeat = self.create_publisher(SteeringLease, "steering/heartbeat", qos.HEARTBEAT)
        self.create_timer(LEASE / 5, self._beat)
        self.create_subscription(PoseStamped, "ee_pose", self._on_pose, qos.SENSOR)
        self.create_subscription(
            FeatureActivations, "policy/features", self._on_features, qos.FEATURES
        )
        self.create_subscription(EpisodeState, "episode", self._on_episode, qos.LATCHED)

    def _on_pose(self, pose: PoseStamped) -> None:
        height = pose.pose.position.z
        if (height < self._below) == self._steers or not self._set.service_is_ready():
            return
        self._steers = not self._steers
        place = SteeringEdit(site=self._edit.site, feature=self._edit.feature)
        request = SetSteering.Request(owner=self.get_name(), lease=LEASE)
        if self._steers:
            request.edits = [from_edit(self._edit)]
        else:
            request.release = [place]
        self._set.call_async(request).add_done_callback(self._on_answer)
        print(f"hand at {height:.3f} m: {'set' if self._steers else 'release'}", flush=True)

    def _on_answer(self, answer: rclpy.Future) -> None:
        if not answer.result().accepted:
            print(f"refused: {answer.result().reason}", flush=True)

    def _on_features(self, message: FeatureActivations) -> None:
        listed = list(message.index)
        if message.site == self._edit.site and self._edit.feature in listed:
            at = listed.index(self._edit.feature)
            natural, applied = message.natural[at], message.applied[at]
            self._has_steered |= applied != natural
            print(f"step {message.observation_step}: {natural:.2f} -> {applied:.2f}", flush=True)

    def _on_episode(self, state: EpisodeState) -> None:
        over = state.status in (EpisodeState.SUCCEEDED, EpisodeState.FAILED)
        if over and self._has_steered and not self.done.done():
            self.done.set_result(state.step)

    def _beat(self) -> None:
        stamp = self.get_clock().now().to_msg()
        lease = SteeringLease(owner=self.get_name(), duration=LEASE)
        lease.header.stamp = stamp
        self._heartbeat.publish(lease)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", default="expert.1")
    parser.add_argument("--feature", type=int, default=265)
    parser.add_argument("--value", type=float, default=4.0, help="in multiples of its maximum")
    parser.add_argument("--below", type=float, default=1.2, help="[m] height of the hand")
    args = parser.parse_args()
    rclpy.init()
    edit = Edit(args.feature, Mode.CLAMP, args.value, args.site, Unit.OBSERVED_MAX)
    node = HeightSteering(edit, args.below)
    rclpy.spin_until_future_complete(node, node.done)


if __name__ == "__main__":
    main()
