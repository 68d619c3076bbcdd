"""A bridge for tests of the policy node: it asks, and keeps everything that the node says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from patience import PATIENCE, eventually
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import SetBool, Trigger

from vla_sae_ros.core.steering import Edit
from vla_sae_ros.msg import (
    ActionChunk,
    ChunkRequest,
    EpisodeState,
    FeatureActivations,
    FeatureCatalogue,
    NodeDescription,
    SteeringEvent,
    SteeringState,
)
from vla_sae_ros.nodes.policy.policy_node import PolicyNode
from vla_sae_ros.srv import AnnotateFeature, ApplyPreset, SelectHeatmap, SetSteering
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header, to_image, to_joint_state, to_pose, to_time
from vla_sae_ros.wire.steering_messages import from_edit

INSTRUCTION = "pick up the butter and place it in the basket"
START = 1_700_000_000_000_000_000
PERIOD = 50_000_000


class FakeBridge:
    """Publishes observations and requests, and keeps everything the policy node says."""

    def __init__(self, context: Context) -> None:
        self.node = rclpy.create_node("fake_bridge", context=context)
        self._arrived = threading.Condition()
        self.got: dict[type, list[Any]] = {}
        self._pictures = {
            name: self.node.create_publisher(Image, f"observation/image/{name}", qos.OBSERVATION)
            for name in ("agentview", "wrist")
        }
        pose_type = type(to_pose([0, 0, 0], [0, 0, 0, 1], to_header(0)))
        self._pose = self.node.create_publisher(pose_type, "ee_pose", qos.OBSERVATION)
        self._gripper = self.node.create_publisher(JointState, "gripper", qos.OBSERVATION)
        self._requests = self.node.create_publisher(ChunkRequest, "policy/request", qos.CHUNK)
        self._episode = self.node.create_publisher(EpisodeState, "episode", qos.LATCHED)
        for kind, topic, profile in (
            (ActionChunk, "policy/action_chunk", qos.CHUNK),
            (FeatureActivations, "policy/features", qos.FEATURES),
            (FeatureCatalogue, "policy/catalogue", qos.LATCHED),
            (SteeringState, "steering/state", qos.LATCHED),
            (SteeringEvent, "steering/events", qos.EVENTS),
            (DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS),
            (NodeDescription, "description", qos.DESCRIPTION),
        ):
            self.got[kind] = []
            self.node.create_subscription(kind, topic, self._keeper(kind), profile)
        self.services = {
            "set": self.node.create_client(SetSteering, "steering/set"),
            "preset": self.node.create_client(ApplyPreset, "steering/preset"),
            "bypass": self.node.create_client(SetBool, "steering/bypass"),
            "reset": self.node.create_client(Trigger, "steering/reset"),
            "inject": self.node.create_client(SetBool, "steering/inject"),
            "heatmap": self.node.create_client(SelectHeatmap, "policy/select_heatmap"),
            "annotate": self.node.create_client(AnnotateFeature, "policy/annotate_feature"),
        }

    def _keeper(self, kind: type) -> Callable[[Any], None]:
        def keep(message: Any) -> None:
            with self._arrived:
                self.got[kind].append(message)
                self._arrived.notify_all()

        return keep

    def wait_for(self, kind: type, wanted: Callable[[Any], bool] = lambda message: True) -> Any:
        """Return the first message that is wanted, waiting for it if need be."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: any(map(wanted, self.got[kind])), PATIENCE), kind
            return next(message for message in self.got[kind] if wanted(message))

    def look_at_heatmaps(self, publisher: Any) -> None:
        """Subscribe, and wait until the publisher knows."""
        self.got[Image] = []
        self.node.create_subscription(
            Image, "policy/feature_heatmap", self._keeper(Image), qos.PICTURE
        )
        eventually(publisher.get_subscription_count, "the subscription was not seen")

    def connect(self) -> None:
        for service in self.services.values():
            assert service.wait_for_service(PATIENCE)
        publishers = [*self._pictures.values(), self._pose, self._gripper, self._requests]
        eventually(
            lambda: all(publisher.get_subscription_count() for publisher in publishers),
            "the policy node did not subscribe",
        )

    def observe(self, step: int, without: str = "", seed: int = 3) -> None:
        header = to_header(START + step * PERIOD)
        for name, publisher in self._pictures.items():
            if name != without:
                picture = np.random.default_rng(step).integers(0, 256, (256, 256, 3), np.uint8)
                publisher.publish(to_image(picture, header))
        self._pose.publish(to_pose([0.1, 0.2, 0.3], [1.0, 0.0, 0.0, 0.0], header))
        self._gripper.publish(
            to_joint_state(["finger_joint1", "finger_joint2"], [0.01, -0.01], header)
        )

    def request(self, step: int, seed: int = 3) -> None:
        self._requests.publish(
            ChunkRequest(
                header=to_header(START + step * PERIOD),
                episode_id="e1",
                instruction=INSTRUCTION,
                start=to_time(START),
                seed=seed,
                step=step,
            )
        )

    def begin_episode(self, suite: str = "libero_object", task: int = 0) -> None:
        """Announce the episode; a request may still be heard before it."""
        state = EpisodeState(episode_id="e1", suite=suite, task=task, status=EpisodeState.RUNNING)
        self._episode.publish(state)

    def end_episode(self) -> None:
        self._episode.publish(EpisodeState(episode_id="e1", status=EpisodeState.ERROR))

    def chunk(self, step: int, seed: int = 3) -> ActionChunk:
        self.observe(step)
        self.request(step, seed)
        return self.wait_for(ActionChunk, lambda m: m.observation_step == step and not m.replan)

    def call(self, name: str, request: Any) -> Any:
        done = threading.Event()
        future = self.services[name].call_async(request)
        future.add_done_callback(lambda _: done.set())
        assert done.wait(PATIENCE), name
        return future.result()

    def steer(self, *edits: Edit, owner: str = "test", lease: float = 30.0) -> SetSteering.Response:
        return self.call(
            "set", SetSteering.Request(edits=map_edits(edits), owner=owner, lease=lease)
        )


def map_edits(edits: tuple[Edit, ...]) -> list[Any]:
    return [from_edit(edit) for edit in edits]


@contextmanager
def served(context: Context, **parameters: Any) -> Iterator[tuple[PolicyNode, FakeBridge]]:
    """Spin a policy node with these parameters and a bridge that it hears."""
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    node = PolicyNode(context=context, parameter_overrides=overrides)
    node.start()
    with heard(node, context) as bridge:
        yield node, bridge


@contextmanager
def heard(node: PolicyNode, context: Context) -> Iterator[FakeBridge]:
    """Spin a policy node that was started, and a bridge that it hears; destroy both at the end."""
    bridge = FakeBridge(context)
    executor = SingleThreadedExecutor(context=context)
    for spun in (node, bridge.node):
        executor.add_node(spun)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    bridge.connect()
    yield bridge
    executor.shutdown()
    thread.join()
    node.destroy_node()
    bridge.node.destroy_node()
