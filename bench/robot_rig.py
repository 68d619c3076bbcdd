"""A robot bridge as it runs in a lab, around a strict simulated Franka: for the benches beside it.

The bridge, the policy and the robot are processes of their own; the operator (heartbeat, services,
goals) and two small cameras live in the bench's process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.action.client import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from vla_sae_ros.action import RunEpisode
from vla_sae_ros.core.errors import SimulationError
from vla_sae_ros.msg import EpisodeState, RobotCommand, RobotState, SteeringLease
from vla_sae_ros.robot.strict_sim.process import StrictRobotProcess
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header

HERE = Path(__file__).parent
CAMERAS = ("exterior_image_1_left", "wrist_image_left")
OWNER = "bench"
ATTEMPTS = 4
MOTION_LIMIT = 12.0  # [s] until an arm has to move under a policy's chunks
PATIENCE = 60.0  # [s] for anything that has to happen
REST = 0.01  # [rad/s] below which a joint stands


class Rig:
    """Everything that is started for a run, and what it says."""

    def __init__(self, host: str = "127.0.0.9", **parameters: object) -> None:
        self.host, self.folder = host, Path(tempfile.mkdtemp(prefix="robot_rig_"))
        self._parameters = {
            "mode": "direct",
            "robot_ip": host,
            "robot": "fr3",
            "audit_folder": str(self.folder / "audit"),
            "policy_timeout": 2.0,
            "max_steps": 1_000_000,
            **parameters,
        }
        self.robot: StrictRobotProcess | None = StrictRobotProcess(host, "--robot", "fr3")
        rclpy.init()
        self.node = Node("bench")
        self.beating = self.filming = True
        self.camera_shift_ns = 0
        self.resets = 0
        self.state: RobotState = RobotState()
        self.stopped_at = 0.0
        self.episode: EpisodeState = EpisodeState()
        self.commands: list[RobotCommand] = []
        self.changed = threading.Condition()
        self._subscribe()
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        threading.Thread(target=self._executor.spin, daemon=True).start()
        self.processes: dict[str, subprocess.Popen] = {}
        self.start_bridge()
        self.start_policy()
        self.until(lambda: self.state.status == RobotState.DISABLED, "the bridge")

    def start_bridge(self) -> None:
        arguments = [
            part for name, value in self._parameters.items() for part in ("-p", f"{name}:={value}")
        ]
        self._start(
            "bridge", "-m", "vla_sae_ros.nodes.robot.robot_bridge_node", "--ros-args", *arguments
        )

    def start_policy(self) -> None:
        self._start("policy", str(HERE / "steady_policy.py"))

    def start_recorder(self) -> None:
        self._start(
            "recorder",
            "-m",
            "vla_sae_ros.nodes.recorder.recorder_node",
            "--ros-args",
            "-p",
            f"output_folder:={self.folder / 'bags'}",
            "-p",
            "record_on_start:=true",
        )

    def signal(self, name: str, number: int) -> None:
        self.processes[name].send_signal(number)

    def restart_robot(self) -> None:
        if self.robot is not None:
            self.robot.close()
        self.robot = StrictRobotProcess(self.host, "--robot", "fr3")

    def ask(self, **behaviour: object) -> None:
        """Tell the bench's policy how its next chunks look."""
        self._behaviour.publish(String(data=json.dumps(behaviour)))

    def call(self, name: str, **fields: object) -> Any:
        kind, client = self._services[name]
        if not client.wait_for_service(PATIENCE):
            raise SimulationError(f"nobody offers bridge/{name}")
        return self._wait(client.call_async(kind.Request(**fields)))

    def ready(self) -> None:
        """Recover, enable and run an episode until the arm moves.

        An arm that stands at the edge of its workspace, where enabling is refused or the motion
        back to the middle cuts a corner, is replaced by one at its reset pose.
        """
        for attempt in range(ATTEMPTS):
            try:
                return self._get_ready()
            except SimulationError:
                if attempt == ATTEMPTS - 1:
                    raise
                self.restart_robot()  # it stands at its reset pose then

    def _get_ready(self) -> None:
        self.beating = self.filming = True
        self.camera_shift_ns = 0
        self.until(self._policy_listens, "the policy")
        self.ask(kind="wave")
        if self.state.status in (RobotState.STOPPED, RobotState.OFFLINE):
            end = time.monotonic() + PATIENCE
            while not (answer := self.call("recover")).success:
                if time.monotonic() > end:
                    raise SimulationError(f"not recovered: {answer.message}")
                time.sleep(0.3)
        self.until(lambda: self.state.status != RobotState.STOPPED, "recovery")
        answer = self.call("enable", data=True)
        if not answer.success:
            raise SimulationError(answer.message)
        self.until(lambda: self.state.status == RobotState.ENABLED, "the enable")
        handle = self._wait(
            self._episodes.send_goal_async(RunEpisode.Goal(instruction="wave", seed=1))
        )
        handle.get_result_async()
        self.until(
            lambda: self.speed() > 0.05 or self.state.status == RobotState.STOPPED,
            "motion",
            MOTION_LIMIT,
        )
        if self.state.status == RobotState.STOPPED:
            raise SimulationError(
                f"stopped before it moved: {self.state.reason}, {self.state.detail}"
            )

    def speed(self) -> float:
        """Return the fastest joint [rad/s]; NaN when the robot does not say."""
        try:
            assert self.robot is not None
            return float(np.abs(self.robot.orders.order("status")["dq"]).max())
        except (SimulationError, OSError, AssertionError):
            return float("nan")

    def until(self, condition: Callable[[], bool], what: str, limit: float = PATIENCE) -> None:
        end = time.monotonic() + limit
        while not condition():
            if time.monotonic() > end:
                raise SimulationError(
                    f"waited for {what} for {limit:g} s in vain; the robot is "
                    f"{self.state.status} {self.state.reason} "
                    f"{self.state.detail}"
                )
            time.sleep(0.005)

    def close(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
        if self.robot is not None:
            self.robot.close()
        self._executor.shutdown()
        rclpy.try_shutdown()

    def _start(self, name: str, *arguments: str) -> None:
        log = (self.folder / f"{name}.log").open("a")
        self.processes[name] = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": str(HERE.parent)},
        )

    def _policy_listens(self) -> bool:
        return (
            self.node.count_subscribers("policy/request") > 0
            and self._behaviour.get_subscription_count() > 0
        )

    def _subscribe(self) -> None:
        node = self.node
        self._behaviour = node.create_publisher(String, "bench/policy", 1)
        self._cameras = [
            node.create_publisher(Image, f"observation/image/{name}", qos.SENSOR)
            for name in CAMERAS
        ]
        self._beats = node.create_publisher(SteeringLease, "bridge/heartbeat", qos.HEARTBEAT)
        node.create_subscription(RobotState, "robot_state", self._told, qos.LATCHED)
        node.create_subscription(EpisodeState, "episode", self._progress, qos.LATCHED)
        node.create_subscription(RobotCommand, "robot_command", self.commands.append, qos.EXECUTED)
        node.create_service(Trigger, "steering/reset", self._reset)
        node.create_timer(0.2, self._beat)
        node.create_timer(1 / 15, self._film)
        self._services: dict[str, tuple[Any, Any]] = {
            name: (kind, node.create_client(kind, f"bridge/{name}"))
            for name, kind in (("enable", SetBool), ("stop", Trigger), ("recover", Trigger))
        }
        self._episodes = ActionClient(node, RunEpisode, "run_episode")

    def _told(self, message: RobotState) -> None:
        if message.status == RobotState.STOPPED and self.state.status != RobotState.STOPPED:
            self.stopped_at = time.monotonic()
        self.state = message

    def _progress(self, message: EpisodeState) -> None:
        self.episode = message

    def _reset(self, _request: object, response: Any) -> Any:
        self.resets += 1
        response.success = True
        return response

    def _beat(self) -> None:
        if self.beating:
            self._beats.publish(SteeringLease(owner=OWNER, duration=1.0))

    def _film(self) -> None:
        if not self.filming:
            return
        header = to_header(time.time_ns() + self.camera_shift_ns)
        for camera in self._cameras:
            camera.publish(
                Image(
                    header=header,
                    height=2,
                    width=2,
                    encoding="rgb8",
                    step=6,
                    data=array("B", bytes(12)),
                )
            )

    def _wait(self, future: Any) -> Any:
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        if not done.wait(PATIENCE):
            raise SimulationError("no answer")
        return future.result()
