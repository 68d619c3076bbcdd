"""The live loop in environments that are not LIBERO: the nodes of `vla-sae up sim --env`, over DDS.

Their nodes are in this process: each of their own would import lerobot again.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from domains import take_domain
from node_rigs import overrides
from patience import WORK, eventually
from rclpy.context import Context
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from real_environments import BOTH, RealEnvironment, untrained_policy

from vla_sae_ros import cli
from vla_sae_ros.bags.opened_bag import open_bag
from vla_sae_ros.bags.reading import read_bag
from vla_sae_ros.bags.recorded_frames import RecordedFrames
from vla_sae_ros.bags.recorded_inferences import recorded_inferences
from vla_sae_ros.bags.recording import Recording
from vla_sae_ros.clients import client as clients
from vla_sae_ros.clients.client import Client
from vla_sae_ros.core.contract import load_contract
from vla_sae_ros.core.steering import Edit, Mode
from vla_sae_ros.msg import FeatureActivations
from vla_sae_ros.nodes.base.running import spin_until
from vla_sae_ros.nodes.policy.policy_node import PolicyNode
from vla_sae_ros.nodes.recorder.recorder_node import RecorderNode
from vla_sae_ros.nodes.sim.bridge import SimBridge
from vla_sae_ros.nodes.sim.sim_bridge_node import ChosenBenchmark
from vla_sae_ros.policy.tiny.untrained import SITE
from vla_sae_ros.sim.lerobot_envs.benchmark import LerobotBenchmark
from vla_sae_ros.systems.simulation import simulation_system

pytestmark = pytest.mark.slow  # real simulators

STEPS, EVERY, FEATURE, ADDED = 3, 2, 3, 0.25
PATIENT = dict(chunk_timeout=900.0, step_timeout=600.0, reset_timeout=900.0)


def make_policy(**options: object) -> Node:
    node = PolicyNode(**options)
    node.start()
    return node


def make_bridge(**options: object) -> Node:
    chosen = ChosenBenchmark()
    return SimBridge(chosen.environment, chosen.find_task, **options)


MAKERS: dict[str, Callable[..., Node]] = {
    "policy": make_policy,
    "bridge": make_bridge,
    "recorder": RecorderNode,
}


@dataclass(frozen=True)
class Live:
    real: RealEnvironment
    policy: Path
    nodes: dict[str, Node]
    ended: list[str]
    recorded: list[FeatureActivations]

    def check(self) -> None:
        """End a wait for what a node that is gone would do."""
        assert not self.ended

    def wait_until_connected(self) -> None:
        """Wait until whatever policy and bridge say from now on is heard by all who listen.

        A publisher that has not found its subscriptions yet says the first things to nobody, and
        the recorder makes some of its own only when it has found the publisher.
        """

        def connected() -> bool:
            self.check()
            said = [one for name in ("policy", "bridge") for one in self.nodes[name].publishers]
            recorded = {one.topic_name for one in self.nodes["recorder"].subscriptions}
            seen = {one.topic_name for one in said if "/observation/" in one.topic_name}
            if not seen or not seen | {"/policy/features"} <= recorded:
                return False
            wanted = Counter(
                one.topic_name for node in self.nodes.values() for one in node.subscriptions
            )
            return all(one.get_subscription_count() >= wanted[one.topic_name] for one in said)

        eventually(connected, "the nodes did not find each other")

    def wait_for_features(self, episode_id: str, step: int) -> None:
        """Wait until the recorder has those of an inference, which come after its actions."""

        def told() -> bool:
            self.check()
            return any(
                (one.episode_id, one.observation_step) == (episode_id, step)
                for one in self.recorded
            )

        eventually(told, "no features")


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[FeatureActivations]:
    """What recordings have been given so far."""
    put, features = Recording.put, []

    def listened(self: Recording, topic: str, received_ns: int, data: bytes) -> bool:
        if topic == "/policy/features":
            features.append(deserialize_message(data, FeatureActivations))
        return put(self, topic, received_ns, data)

    monkeypatch.setattr(Recording, "put", listened)
    return features


@pytest.fixture(scope="module")
def domain() -> int:
    return take_domain()


@pytest.fixture
def own_domain(domain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second policy, left from a test before, would be refused."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))


@pytest.fixture(params=BOTH)
def live(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    own_domain: None,
    ros_context: Context,
    recorded: list[FeatureActivations],
) -> Iterator[Live]:
    """Policy, bridge and recorder with the parameters of `vla-sae up sim`."""
    real: RealEnvironment = request.param
    policy, _ = untrained_policy(real, tmp_path)
    arguments = {"env": real.env, "suite": real.suite, "policy": str(policy), "autorun": False}
    folder = {"record_folder": str(tmp_path / "bags")}
    system = simulation_system(arguments | folder)
    system = system.with_parameters("bridge", execute_steps=EVERY, **PATIENT)
    with ExitStack() as stack:
        live = Live(real, policy, {}, [], recorded)
        for spec in system.nodes:
            node = MAKERS[spec.name](
                context=ros_context, parameter_overrides=overrides(dict(spec.parameters))
            )
            stack.callback(node.destroy_node)
            live.nodes[spec.name] = node
            stop = threading.Event()

            def spin(
                name: str = spec.name, node: Node = node, stop: threading.Event = stop
            ) -> None:
                try:
                    spin_until(node, stop)
                finally:
                    live.ended.append(name)

            thread = threading.Thread(target=spin, name=spec.name)
            thread.start()
            stack.callback(thread.join)
            stack.callback(stop.set)
        yield live


def test_an_edit_acts_in_a_live_episode_and_the_bag_replays_to_the_bit(
    live: Live,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = live.real
    monkeypatch.setattr(clients, "SERVICE_TIMEOUT", WORK)
    monkeypatch.setattr(clients, "LEASE", 60.0)  # the most; pictures keep this process busy
    with Client("test_real_environments", live.check) as client:
        client.wait_until_ready(WORK, recording=True)
        folder = Path(client.start_recording("live", images=True))
        live.wait_until_connected()
        told = dict(seed=5, max_steps=STEPS, timeout=WORK)
        plain = client.run_episode(real.suite, 0, **told)
        client.set_steering([Edit(FEATURE, Mode.ADD, ADDED, SITE)])
        steered = client.run_episode(real.suite, 0, **told)
        live.wait_for_features(steered.episode_id, EVERY)
        client.stop_recording()
    assert plain.steps == steered.steps == STEPS
    assert plain.actions_sha256 != steered.actions_sha256

    bag = read_bag(folder)
    assert bag.episodes[0].actions_sha256 == plain.actions_sha256
    before, after = (one.features[SITE] for one in bag.episodes)
    # The edit comes after the first episode, whose last observation may be answered once more.
    plainly = before.revision == 0
    assert set(before.step[plainly]) == set(after.step) == {0, EVERY}
    assert not before.edit_norm_ratio[plainly].any()
    natural, applied = after.dense([FEATURE])
    # The limit of its speed lets it be there by the second inference at the latest.
    np.testing.assert_allclose((applied - natural)[-1], ADDED, rtol=1e-5)
    assert after.edit_norm_ratio[-1] > 0 and not after.capped.any()
    # The same seed is the same scene: its features before the edit are the same.
    first = before.row(0)[0].tolist()
    assert np.array_equal(before.dense(first)[0][0], after.dense(first)[0][0])

    document = LerobotBenchmark(real.env).contract_document(real.suite)
    contract = tmp_path / "contract.yaml"
    contract.write_text(yaml.safe_dump(document))
    with open_bag(folder) as opened:
        recorded = recorded_inferences(opened).inferences
        frames = [
            frame for _, frame in RecordedFrames(opened, load_contract(contract)).of(recorded)
        ]
    assert {one.actions.shape[1] for one in recorded} == {real.action}
    assert {frame["observation.state"].shape for frame in frames} == {(real.state,)}
    assert min(frame[real.picture].std() for frame in frames) > 10  # not one colour
    replay = ["bag", "replay", str(folder), "--policy", str(live.policy)]
    assert cli.main([*replay, "--contract", str(contract)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(r"(\d+) of \1 inferences: features and actions are bit-identical", said)
