"""The rehearsal's policy has DROID's inputs and outputs, against openpi's published code.

openpi, src/openpi/policies/droid_policy.py: observation/exterior_image_1_left and
observation/wrist_image_left, (224, 224, 3) uint8; state = joint_position (7), gripper_position (1);
8 numbers per action.
"""

from __future__ import annotations

import numpy as np
import pytest

from vla_sae_ros.core.contract import load_contract
from vla_sae_ros.core.steering import Edit, Mode, Steering
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny.rehearsal import REACH, SITE, ensure_droid_policy
from vla_sae_ros.resources import resource
from vla_sae_ros.sae import SaeBundle

pytestmark = pytest.mark.slow
CAMERAS = ("exterior_image_1_left", "wrist_image_left")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> PolicyEngine:
    folder = tmp_path_factory.mktemp("rehearsal")
    policy, bundle = ensure_droid_policy(folder)
    written = (policy / "model.safetensors").stat().st_mtime_ns
    assert ensure_droid_policy(folder) == (policy, bundle), "made once"
    assert (policy / "model.safetensors").stat().st_mtime_ns == written
    return PolicyEngine(load_policy(policy), [SaeBundle.load(bundle)])


def frame() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    pictures = {
        f"observation.images.{camera}": draw.integers(0, 256, (224, 224, 3), np.uint8)
        for camera in CAMERAS
    }
    state = np.array([0.1, -0.6, 0.0, -2.5, 0.0, 1.9, 0.2, 0.0], np.float32)
    return {**pictures, "observation.state": state}


def test_it_wants_what_the_droid_contract_offers_and_gives_what_it_takes(engine):
    contract = load_contract(resource("config", "contracts", "droid.yaml"))
    assert engine.input_features == {*frame()}
    assert engine.input_features <= {entry.key for entry in contract.observations}
    snapshot = Steering(engine.steering_sites()).begin_inference(0.0, 0.0)
    actions = engine.infer(frame(), "put the can into the bowl", (1, 0), snapshot).actions
    assert actions.shape == (15, contract.action.width) == (15, 8)
    assert np.isfinite(actions).all()
    assert np.abs(actions[:, :7]).mean() < 2 * REACH, "it wanders slowly"


def test_it_can_be_steered(engine):
    steering = Steering(engine.steering_sites())
    plain = engine.infer(frame(), "go", (1, 0), steering.begin_inference(0.0, 0.0)).actions
    edits = [Edit(site=SITE, feature=feature, mode=Mode.CLAMP, value=4.0) for feature in range(8)]
    steering.set(edits, "tester", lease=10.0)
    steered = engine.infer(frame(), "go", (1, 0), steering.begin_inference(5.0, 0.0)).actions
    assert not np.array_equal(plain, steered)
