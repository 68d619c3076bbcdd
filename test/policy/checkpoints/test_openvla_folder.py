"""An OpenVLA folder behind the node's engine: prompt, picture, statistics, gripper, heatmap.

OpenVLA's modelling code comes with its weights; here stands-ins round a real Llama are loaded.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from nearest_openvla import ACTIONS, NearestProcessor, random_openvla

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.nodes.policy.parameters import PolicyParameters
from vla_sae_ros.nodes.policy.torch_backend import make_torch_engine
from vla_sae_ros.policy.checkpoints import openvla_folder
from vla_sae_ros.policy.checkpoints.openvla_folder import CAMERA, load_openvla
from vla_sae_ros.policy.checkpoints.openvla_processing import (
    CROPPED_AREA,
    prompt_of,
    robot_gripper,
    shown_picture,
)
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.inference import NotCompiled
from vla_sae_ros.policy.load_options import LoadOptions
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.study.rollouts.compiling import engine_of

LIBERO, INSTRUCTION = "libero_spatial_no_noops", "Pick Up the bowl"
OFFERED = {
    "observation.images.agentview": None,
    "observation.images.wrist": None,
    "observation.state": (8,),
}
FRAME = {
    "observation.images.agentview": np.random.default_rng(0)
    .integers(0, 256, (256, 256, 3))
    .astype(np.uint8),
}


def statistics(*keys: str) -> dict:
    numbers = {"q01": [-1.0] * ACTIONS, "q99": [1.0] * ACTIONS}
    return {key: {"action": numbers} for key in keys}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as OpenVLA's fine-tuning leaves it; what transformers would load is put in."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "openvla"}))
    for part in (1, 2):
        (tmp_path / f"model-0000{part}-of-00002.safetensors").write_bytes(bytes([part]))
    (tmp_path / "dataset_statistics.json").write_text(json.dumps(statistics(LIBERO)))
    made = random_openvla(), NearestProcessor()
    monkeypatch.setattr(openvla_folder, "_pretrained", lambda folder, device: made)
    return tmp_path


def test_the_node_s_backend_serves_it_with_libero_s_cameras(folder: Path, make_bundle) -> None:
    loaded = load_openvla(folder, trust_remote_code=True)
    make_bundle(loaded, "backbone.1").save(folder / "bundle")
    values = PolicyParameters(
        policy=str(folder), bundles=(str(folder / "bundle"),), trust_remote_code=True
    )
    engine = make_torch_engine(values, print)
    engine.observe(OFFERED)
    assert engine.warm_up() == (1, ACTIONS)
    plain = engine.infer(FRAME, INSTRUCTION, (0, 0))
    prompt, shown = engine.loaded.preprocessor.processor.asked[-1]
    assert prompt == "In: What action should the robot take to pick up the bowl?\nOut:"
    assert shown.shape == (224, 224, 3)
    assert plain.actions.shape == (1, ACTIONS) and plain.actions[0, -1] in (-1.0, 1.0)
    bare = PolicyEngine(load_openvla(folder, trust_remote_code=True))
    own = {CAMERA: FRAME["observation.images.agentview"]}
    np.testing.assert_array_equal(bare.infer(own, INSTRUCTION, (0, 0)).actions, plain.actions)
    edit = Snapshot(1, {"backbone.1": (AppliedEdit(3, Mode.ADD, 200.0, 1.0),)})
    edited = engine.infer(FRAME, INSTRUCTION, (0, 0), edit)
    assert np.abs(edited.actions - plain.actions).max() > 0
    assert len(plain.sites[0].index) > 0 and plain.draw is not None
    assert plain.draw("backbone.1", 3).shape == (256, 256, 3)
    engine.close()


def test_its_name_and_id_are_those_of_its_data_set_and_all_its_weights(folder: Path) -> None:
    loaded = load_openvla(folder, trust_remote_code=True)
    assert loaded.name.endswith(f"({LIBERO})")
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"other")
    assert load_openvla(folder, trust_remote_code=True).policy_id != loaded.policy_id


def test_a_data_set_has_to_be_named_where_there_are_several(folder: Path) -> None:
    (folder / "dataset_statistics.json").write_text(
        json.dumps(statistics("bridge_orig", "fractal"))
    )
    with pytest.raises(ConfigurationError, match=r"unnorm_key.*bridge_orig.*fractal"):
        load_openvla(folder, trust_remote_code=True)
    with pytest.raises(ConfigurationError, match="got 'libero_goal'"):
        load_openvla(folder, unnorm_key="libero_goal", trust_remote_code=True)
    loaded = load_openvla(folder, unnorm_key="bridge_orig", trust_remote_code=True)
    assert not loaded.policy.crops
    chunk = torch.tensor([[[0.0, 0.25]]])
    assert torch.equal(loaded.postprocessor(chunk), chunk), "only LIBERO's gripper is turned round"


def test_its_code_runs_only_where_that_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvla_folder, "_pretrained", lambda *_: pytest.fail("it ran"))
    with pytest.raises(ConfigurationError, match="trust_remote_code:=true"):
        make_torch_engine(PolicyParameters(policy=str(folder)), print)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "dataset_statistics.json cannot be read"),
        ("[]", "content of .*dataset_statistics.json"),
        ("{}", "content of .*dataset_statistics.json"),
        ('{"bridge": {}}', "statistics of bridge .* lack finite bounds"),
        ('{"bridge": {"action": {"q01": [0.0, NaN], "q99": [1.0, 1.0]}}}', "lack finite"),
        ('{"bridge": {"action": {"q01": [0.0], "q99": [1.0, 1.0]}}}', "lack finite"),
        ('{"bridge": {"action": {"q01": "0", "q99": 1}}}', "lack finite"),
        ('{"bridge": 5}', "lack finite"),
    ],
)
def test_statistics_that_it_cannot_scale_by_are_refused(folder: Path, text: str, said: str) -> None:
    (folder / "dataset_statistics.json").write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        load_openvla(folder, trust_remote_code=True)


def test_commands_load_what_the_node_loads(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"own code.*--trust-remote-code"):
        load_policy(folder)
    loaded = load_policy(folder, options=LoadOptions(trust_remote_code=True))
    node = make_torch_engine(PolicyParameters(policy=str(folder), trust_remote_code=True), print)
    assert (loaded.policy_id, loaded.name) == (node.policy_id, node.policy_name)
    assert (loaded.unnorm_key, loaded.chunk_length) == (LIBERO, 1)
    with pytest.raises(ConfigurationError, match="got 'libero_goal'"):
        load_policy(folder, options=LoadOptions(True, "libero_goal"))


@pytest.mark.skipif(
    hasattr(transformers, "AutoModelForVision2Seq"), reason="OpenVLA's code may run here"
)
def test_a_python_with_other_transformers_says_which_one_loads_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    said = rf"does not run with transformers {transformers.__version__}.*environments/openvla"
    with pytest.raises(ConfigurationError, match=said):
        load_policy(folder, options=LoadOptions(trust_remote_code=True))


def test_an_oft_folder_is_refused_by_name_before_its_code_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvla_folder, "_pretrained", lambda *_: pytest.fail("it ran"))
    (folder / "action_head--150000_checkpoint.pt").write_bytes(b"pickle")
    with pytest.raises(ConfigurationError, match="OpenVLA-OFT checkpoint"):
        load_policy(folder, options=LoadOptions(trust_remote_code=True))


def test_it_is_not_compiled_and_that_is_said(folder: Path) -> None:
    loaded = load_policy(folder, options=LoadOptions(trust_remote_code=True))
    with pytest.raises(NotCompiled, match="got 'openvla'"):
        engine_of(loaded, compiled=True)


def test_an_unnorm_key_is_refused_where_the_policy_has_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="unnorm_key of a policy that is not OpenVLA"):
        load_policy(tmp_path, options=LoadOptions(unnorm_key="libero"))


def test_libero_s_gripper_is_mapped_binarised_and_inverted() -> None:
    """0 is closed and 1 open at OpenVLA's end, +1 closes and -1 opens at LIBERO's."""
    chunk = torch.tensor([[[0.3, 0.0], [0.3, 1.0], [0.3, 0.2], [0.3, 0.996]]])
    assert robot_gripper(chunk)[0, :, 1].tolist() == [1.0, -1.0, 1.0, -1.0]
    torch.testing.assert_close(robot_gripper(chunk)[..., 0], chunk[..., 0])


def test_the_centre_of_a_picture_is_what_is_left_of_a_ramp() -> None:
    ramp = np.broadcast_to(np.arange(224, dtype=np.uint8)[None, :, None], (224, 224, 3))
    shown = shown_picture(np.ascontiguousarray(ramp), True)
    margin = (1 - np.sqrt(CROPPED_AREA)) / 2 * 223
    assert shown[0, 0, 0] == round(margin) and shown[0, -1, 0] == round(223 - margin)
    np.testing.assert_array_equal(shown_picture(np.ascontiguousarray(ramp), False), ramp)


def test_a_patch_of_the_cropped_picture_looks_at_the_centre(folder: Path) -> None:
    engine = PolicyEngine(load_openvla(folder, trust_remote_code=True))
    batch = {
        "pixel_values": torch.zeros(1, 6, 224, 224),
        "input_ids": torch.zeros(1, 3, dtype=torch.long),
        "picture_size": torch.tensor([[480, 640]]),
    }
    (camera,) = engine.adapter.camera_patches("backbone.0", batch)
    assert camera.picture == (480, 640)
    first, last = camera.pixel_box(0, 0), camera.pixel_box(camera.rows - 1, camera.columns - 1)
    margin = (1 - np.sqrt(CROPPED_AREA)) / 2
    assert first is not None and last is not None
    assert (first.top, first.left) == pytest.approx((480 * margin, 640 * margin))
    assert (last.bottom, last.right) == pytest.approx((480 * (1 - margin), 640 * (1 - margin)))


def test_the_prompt_is_in_small_letters_as_in_training() -> None:
    assert prompt_of("Lift A").endswith("to lift a?\nOut:")
