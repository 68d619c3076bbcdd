"""The live loop with OpenVLA: the real policy node and bridge, one action per chunk.

OpenVLA's modelling code comes with its weights; here stand-ins round a real Llama are served.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from nearest_openvla import ACTIONS, NearestProcessor, random_openvla
from patience import PATIENCE, answer_of
from rclpy.node import Node
from rclpy.parameter import Parameter
from sim_graph import Graph
from spinning import Spinning

from vla_sae_ros.core.steering import Edit, Mode
from vla_sae_ros.msg import ChunkRequest, ExecutedAction, FeatureActivations
from vla_sae_ros.nodes.policy.policy_node import PolicyNode
from vla_sae_ros.policy.checkpoints import openvla_folder
from vla_sae_ros.policy.checkpoints.openvla_folder import CAMERA, load_openvla
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.srv import SetSteering
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_floats
from vla_sae_ros.wire.steering_messages import from_edit

SITE, TICKS = "backbone.1", 12


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as OpenVLA's fine-tuning leaves it; what transformers would load is put in."""
    numbers = {"q01": [-1.0] * ACTIONS, "q99": [1.0] * ACTIONS}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "openvla"}))
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "dataset_statistics.json").write_text(json.dumps({"libero": {"action": numbers}}))
    made = random_openvla(), NearestProcessor()
    monkeypatch.setattr(openvla_folder, "_pretrained", lambda *_: made)
    return tmp_path


class ServedOpenVLA:
    """The policy node beside the client's node, in a thread of its own."""

    def __init__(self, folder: Path, client: Node) -> None:
        overrides = {
            "policy": str(folder),
            "bundles": [str(folder / "sae")],
            "trust_remote_code": True,
            "slew_limit": 1e6,
            "max_multiple": 1e3,
            "cap": 100.0,
        }
        self.node = PolicyNode(
            context=client.context,
            parameter_overrides=[Parameter(name, value=one) for name, one in overrides.items()],
        )
        self.node.start()
        self._spinning = Spinning(self.node)

    def close(self) -> None:
        self._spinning.close()
        self.node.destroy_node()


@pytest.fixture
def system(
    folder: Path, environment: Any, find_task: Any, make_bundle: Callable[..., SaeBundle]
) -> Iterator[Graph]:
    make_bundle(load_openvla(folder, trust_remote_code=True), SITE).save(folder / "sae")
    made = Graph(environment, find_task, lambda client: ServedOpenVLA(folder, client))
    yield made
    made.policy.close()
    made.close()


def ticks(system: Graph, count: int) -> list[ExecutedAction]:
    system.until(lambda: len(system.executed) >= count)
    return system.executed[count - TICKS : count]


def test_every_tick_executes_the_one_action_of_its_own_observation(
    system: Graph, folder: Path
) -> None:
    features: list[FeatureActivations] = []
    system._listen(FeatureActivations, "policy/features", qos.FEATURES, features.append)
    status, result = system.run(task=1)
    assert status == GoalStatus.STATUS_SUCCEEDED and result.steps == TICKS
    assert (result.held_ticks, result.dropped_chunks) == (0, 0)
    executed = ticks(system, TICKS)
    assert [one.chunk_index for one in executed] == [0] * TICKS
    assert len({one.chunk_id for one in executed}) == TICKS
    engine = PolicyEngine(load_openvla(folder, trust_remote_code=True))
    frame = {CAMERA: np.zeros((256, 256, 3), np.uint8)}  # what the fake environment shows
    plain = engine.infer(frame, "reach the thing", (0, 0)).actions
    assert plain.shape == (1, ACTIONS)
    np.testing.assert_allclose([list(one.action) for one in executed], plain.repeat(TICKS, 0))

    edit = Edit(4, Mode.ADD, 200.0, SITE, hold=True)
    steering = system.node.create_client(SetSteering, "steering/set")
    assert steering.wait_for_service(PATIENCE)
    asked = SetSteering.Request(edits=[from_edit(edit)], owner="test", lease=30.0)
    answer = answer_of(steering.call_async(asked))
    assert answer.accepted, answer.reason
    status, result = system.run(task=1)
    assert status == GoalStatus.STATUS_SUCCEEDED and result.held_ticks == 0
    edited = ticks(system, 2 * TICKS)
    assert all(one.steering_revision > executed[-1].steering_revision for one in edited)
    moved = np.array([list(one.action) for one in edited]) - plain
    assert np.abs(moved).max() > 0
    system.until(lambda: any(list(one.natural) != list(one.applied) for one in features))


def test_in_real_time_an_action_is_executed_at_its_own_tick_or_not_at_all(
    environment: Any, find_task: Any, fake_policy: Any
) -> None:
    """A chunk of one action that comes a tick later has nothing left for the present one."""

    class OneAction(fake_policy):
        def publish(self, request: ChunkRequest, **changes: Any) -> None:
            action = to_floats(np.full(ACTIONS, request.step / 100))
            super().publish(request, horizon=1, actions=action, **changes)

    system = Graph(environment, find_task, OneAction, clock="realtime")
    try:
        _, result = system.run(max_steps=20)
        system.until(lambda: len(system.executed) == 20)
    finally:
        system.close()
    assert result.held_ticks == sum(one.held for one in system.executed)
    for one in system.executed:
        if not one.held:
            assert one.chunk_index == 0
            assert one.action[0] == pytest.approx(one.step / 100)
