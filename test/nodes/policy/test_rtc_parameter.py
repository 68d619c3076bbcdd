"""The policy node's parameter `rtc`: over real DDS, and refused where it cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_bridge import INSTRUCTION, FakeBridge, served
from rclpy.context import Context
from std_srvs.srv import SetBool

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.steering import Edit, Mode
from vla_sae_ros.msg import ActionChunk
from vla_sae_ros.nodes.policy.backend import make_engine
from vla_sae_ros.nodes.policy.parameters import PolicyParameters
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.inference import Continued
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.sae import SaeBundle

SITE = "expert.1"


@pytest.fixture
def bridge(
    ros_context: Context,
    tiny_policy_folder: Path,
    loaded: LoadedPolicy,
    make_bundle: Callable[..., SaeBundle],
    tmp_path: Path,
) -> Iterator[FakeBridge]:
    """A bridge that is served by a policy node with real-time chunking."""
    make_bundle(loaded, SITE).save(tmp_path / SITE)
    with served(
        ros_context,
        policy=str(tiny_policy_folder),
        bundles=[str(tmp_path / SITE)],
        slew_limit=1e6,
        rtc=True,
    ) as (_node, bridge):
        yield bridge


def frame(step: int) -> dict[str, np.ndarray]:
    """What the fake bridge shows at a step, under the policy's names."""
    picture = np.random.default_rng(step).integers(0, 256, (256, 256, 3), np.uint8)
    state = np.array([0.1, 0.2, 0.3, np.pi, 0.0, 0.0, 0.01, -0.01], np.float32)
    return {
        "observation.images.agentview": picture,
        "observation.images.wrist": picture,
        "observation.state": state,
    }


def numbers(chunk: ActionChunk) -> bytes:
    return np.array(chunk.actions, np.float32).tobytes()


def test_the_second_chunk_continues_the_first_and_says_so(
    bridge: FakeBridge, tiny_policy_folder: Path
) -> None:
    first, second = bridge.chunk(0), bridge.chunk(2)
    assert (first.continued_chunk, first.continued_delay) == (0, 0)
    assert (second.continued_chunk, second.continued_delay) == (first.chunk_id, 0)
    engine = PolicyEngine(load_policy(tiny_policy_folder))
    engine.enable_rtc()
    before = engine.infer(frame(0), INSTRUCTION, (3, 0))
    assert before.normalised is not None
    previous = Continued(before.normalised[2:], 0, first.chunk_id)
    after = engine.infer(frame(2), INSTRUCTION, (3, 2), previous=previous)
    assert numbers(first) == before.actions.tobytes()
    assert numbers(second) == after.actions.tobytes()


def test_a_bypass_brings_the_plain_actions_back_to_the_bit(bridge: FakeBridge) -> None:
    plain = bridge.chunk(0)
    bridge.steer(Edit(2, Mode.ADD, 6.0, SITE))
    edited = bridge.wait_for(ActionChunk, lambda m: m.steering_revision == 1)
    assert edited.replan and edited.continued_chunk == plain.chunk_id
    assert numbers(edited) != numbers(plain)
    bridge.call("bypass", SetBool.Request(data=True))
    bypassed = bridge.wait_for(ActionChunk, lambda m: m.steering_revision == 2)
    assert bypassed.continued_chunk == 0
    assert numbers(bypassed) == numbers(plain)


def test_what_cannot_continue_chunks_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    compiled = PolicyParameters(policy=str(tmp_path), rtc=True, compile="if_possible")
    with pytest.raises(ConfigurationError, match="compile with rtc:=true"):
        make_engine(compiled, print)
    injected = PolicyParameters(policy=str(tmp_path), rtc=True, inject="bag")
    with pytest.raises(ConfigurationError, match="inject with rtc:=true"):
        make_engine(injected, print)
    exported = PolicyParameters(policy=str(tmp_path), rtc=True, backend="onnx")
    with pytest.raises(ConfigurationError, match="rtc of an exported policy"):
        make_engine(exported, print)
