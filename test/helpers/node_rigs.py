"""Every node of the package, with fakes in the place of simulator and hardware."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monitored import planted_monitor
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from vla_sae_ros.nodes.markers.markers_node import MarkersNode
from vla_sae_ros.nodes.monitor.monitor_node import MonitorNode
from vla_sae_ros.nodes.policy.policy_node import PolicyNode
from vla_sae_ros.nodes.recorder.recorder_node import RecorderNode
from vla_sae_ros.nodes.robot import simulated_robot_node
from vla_sae_ros.nodes.robot.bridge import RobotBridge
from vla_sae_ros.nodes.robot.forward_watchdog_node import ForwardWatchdog
from vla_sae_ros.nodes.robot.robot_bridge_node import make_driver
from vla_sae_ros.nodes.sim.bridge import SimBridge
from vla_sae_ros.nodes.sim.droid_scene_node import DroidSceneNode


class StillEnvironment:
    """A simulator in which nothing moves."""

    cameras = ("agentview", "wrist")
    control_rate_hz = 20.0

    def __init__(self, observe: Callable[[], Any]) -> None:
        self._observe = observe

    def reset(self, *_arguments: Any, **_more: Any) -> Any:
        return self._observe()

    def render(self, camera: str) -> np.ndarray:
        return np.zeros((256, 256, 3), np.uint8)

    def close(self) -> None:
        pass


class NoRobotProcess:
    """Stands in for the process of the simulated Franka."""

    host = "127.0.0.2"

    def __init__(self, *_arguments: str) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Rig:
    """A node, and what a refused request must leave as it is."""

    node: Node
    stand: Callable[[], object]


NAMES = (
    "policy",
    "sim bridge",
    "robot bridge",
    "recorder",
    "markers",
    "monitor",
    "forward_watchdog",
    "cameras",
    "simulated robot",
)


def make_rig(
    name: str, context: Context, request: pytest.FixtureRequest, folder: Path, **parameters: Any
) -> Rig:
    """Make one of NAMES in a context; `folder` is the test's own."""
    monkeypatch = request.getfixturevalue("monkeypatch")
    if name == "policy":
        return _policy(context, request, folder, parameters)
    if name == "sim bridge":
        from vla_sae_ros.sim.environment import Observation

        def observe() -> Observation:
            return Observation(np.zeros(7), np.zeros(3), np.array([0.0, 0, 0, 1]), np.zeros(2))

        given = {"suite": "fake_suite", "chunk_timeout": 0.1} | parameters
        bridge = SimBridge(
            lambda values: StillEnvironment(observe),
            request.getfixturevalue("find_task"),
            context=context,
            parameter_overrides=overrides(given),
        )
        return Rig(bridge, lambda: bridge._pacing)
    if name == "robot bridge":
        given = {"mode": "simulated", "audit_folder": ""} | parameters
        robot = RobotBridge(make_driver, context=context, parameter_overrides=overrides(given))
        return Rig(robot, lambda: robot._loop.state().envelope.status)
    if name == "recorder":
        recorder = RecorderNode(context=context, parameter_overrides=overrides(parameters))
        return Rig(recorder, lambda: recorder._recording is not None)
    if name == "cameras":
        monkeypatch.setattr(DroidSceneNode, "_run", lambda self: None)  # no MuJoCo
    if name == "simulated robot":
        monkeypatch.setattr(simulated_robot_node, "StrictRobotProcess", NoRobotProcess)
    if name == "monitor":
        planted_monitor().save(folder / "monitor")
        parameters = {"monitor": str(folder / "monitor")} | parameters
    kinds: dict[str, Any] = {
        "markers": MarkersNode,
        "monitor": MonitorNode,
        "forward_watchdog": ForwardWatchdog,
        "cameras": DroidSceneNode,
        "simulated robot": simulated_robot_node.SimulatedRobotNode,
    }
    node = kinds[name](context=context, parameter_overrides=overrides(parameters))
    return Rig(node, lambda: None)


def _policy(
    context: Context, request: pytest.FixtureRequest, folder: Path, parameters: dict[str, Any]
) -> Rig:
    loaded = request.getfixturevalue("loaded")
    bundle = request.getfixturevalue("make_bundle")(loaded, "expert.1")
    bundle.save(folder / "expert.1")
    given = {
        "policy": str(request.getfixturevalue("tiny_policy_folder")),
        "bundles": [str(folder / "expert.1")],
    } | parameters
    node = PolicyNode(context=context, parameter_overrides=overrides(given))
    node.start()

    def stand() -> object:
        view = node._steering.view()
        edits = [(each.edit, each.owner, each.phase, each.commanded) for each in view.edits]
        server = node._server
        chosen = server._heatmap._chosen if server is not None else None
        return view.revision, view.bypass, edits, chosen

    return Rig(node, stand)


def overrides(given: dict[str, Any]) -> Sequence[Parameter]:
    """Return parameters as a launch file gives them."""
    return [Parameter(name, value=value) for name, value in given.items()]
