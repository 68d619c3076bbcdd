"""Fakes of what stands round the simulation bridge."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.node import Node

from vla_sae_ros.core.contract import Contract, FrameBuilder, load_contract
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.msg import ActionChunk, ChunkRequest
from vla_sae_ros.nodes.base.contract_channels import message_class, qos_profile
from vla_sae_ros.sim.benchmark import LIBERO_CONTRACT
from vla_sae_ros.sim.environment import Layout, Observation, StepResult, TaskSpec
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_floats, to_ns


class FakeEnvironment:
    """Integrates its actions; succeeds once the first coordinate has moved far enough."""

    cameras = ("agentview", "wrist")
    control_rate_hz = 20.0
    init_states = 3

    def __init__(self, succeed_at: float = np.inf) -> None:
        self.succeed_at = succeed_at
        self.state = np.zeros(7)
        self.actions: list[np.ndarray] = []
        self.rendered = 0
        self.resets: list[tuple[str, int, int, int]] = []
        self.closed = False
        self.on_step = lambda: None

    def reset(
        self, task: TaskSpec, init_state: int, seed: int, layout: Layout | None = None
    ) -> Observation:
        if init_state >= self.init_states:
            raise ConfigurationError(f"Unknown init state: got {init_state}; allowed: 0 to 2.")
        self.resets.append((task.suite, task.task_index, init_state, seed))
        self.state = np.full(7, 0.01 * seed)
        self.actions = []
        return self._observe()

    def step(self, action: np.ndarray) -> StepResult:
        self.on_step()
        self.actions.append(action.copy())
        self.state = self.state + action
        return StepResult(self._observe(), bool(self.state[0] >= self.succeed_at))

    def render(self, camera: str) -> np.ndarray:
        self.rendered += 1
        return np.full((256, 256, 3), self.cameras.index(camera), np.uint8)

    def object_positions(self) -> dict[str, np.ndarray]:
        return {}

    def close(self) -> None:
        self.closed = True

    def _observe(self) -> Observation:
        return Observation(
            self.state.copy(), self.state[:3].copy(), np.array([0.0, 0.0, 0.0, 1.0]), np.zeros(2)
        )


class FakePolicy:
    """Builds frames by the contract and answers each request with numbers drawn from its seed."""

    def __init__(self, node: Node, contract: Contract | None = None) -> None:
        self._contract = contract or load_contract(LIBERO_CONTRACT)
        self.silent = False
        self.asked = threading.Event()
        """Set when a request comes; whoever waits clears it first."""
        self.chunks = 0
        self.requests: list[ChunkRequest] = []
        self.frames: list[dict[str, np.ndarray]] = []
        self._frames = FrameBuilder(self._contract)
        self._pending: ChunkRequest | None = None
        self._publisher = node.create_publisher(ActionChunk, "policy/action_chunk", qos.CHUNK)
        for channel in self._frames.channels:
            node.create_subscription(
                message_class(channel),
                channel.topic,
                self._taker(channel.topic),
                qos_profile(channel.qos),
            )
        node.create_subscription(ChunkRequest, "policy/request", self._asked, qos.CHUNK)

    def publish(self, request: ChunkRequest, **changes: Any) -> None:
        self.chunks += 1
        width = self._contract.action.width
        draw = np.random.default_rng([request.seed, request.step]).uniform(-1.0, 0.5, (10, width))
        fields = {
            "header": request.header,
            "episode_id": request.episode_id,
            "chunk_id": self.chunks,
            "observation_step": request.step,
            "control_rate": self._contract.fps,
            "horizon": 10,
            "action_dim": width,
            "actions": to_floats(draw),
        }
        self._publisher.publish(ActionChunk(**fields | changes))

    def _taker(self, topic: str) -> Callable[[Any], None]:
        def take(message: Any) -> None:
            self._frames.push(topic, message, 0)
            self._answer()

        return take

    def _asked(self, request: ChunkRequest) -> None:
        self.requests.append(request)
        self.asked.set()
        self._pending = request
        self._answer()

    def _answer(self) -> None:
        request = self._pending
        if request is None or self._frames.newest_complete() != to_ns(request.header.stamp):
            return
        self._pending = None
        self.frames.append(self._frames.frame(to_ns(request.header.stamp)).values)
        if not self.silent:
            self.publish(request)


def fake_task(suite: str = "fake_suite", index: int = 0) -> TaskSpec:
    """Knows two tasks of one suite."""
    if suite != "fake_suite":
        raise ConfigurationError(f"Unknown suite: got {suite!r}; allowed: fake_suite.")
    if index not in (0, 1):
        raise ConfigurationError(f"Unknown task of fake_suite: got {index}; allowed: 0 to 1.")
    return TaskSpec(suite, index, "reach", "reach the thing", 12, Path("p.bddl"), Path("i.npz"))


@pytest.fixture
def environment() -> FakeEnvironment:
    return FakeEnvironment()


@pytest.fixture
def task() -> TaskSpec:
    return fake_task()


@pytest.fixture
def find_task():
    return fake_task


@pytest.fixture
def fake_policy() -> type[FakePolicy]:
    return FakePolicy
