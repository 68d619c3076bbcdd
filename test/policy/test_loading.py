"""Loading policy folders: what fits, and what a wrong folder is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_families import statistics

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.checkpoints.checkpoint import save_checkpoint
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.families.registry import adapter_for
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny.tiny_pi import PiSize, build_tiny_pi, save_tiny_pi
from vla_sae_ros.policy.tiny.tiny_smolvla import (
    CAMERA_KEYS,
    TinySize,
    build_tiny_smolvla,
    write_vlm_folder,
)
from vla_sae_ros.policy.tiny.tiny_xvla import build_tiny_xvla, save_tiny_xvla

INSTRUCTION = "pick up the butter and place it in the basket"
SMALL = TinySize(
    image_size=32,
    patch_size=8,
    vision_width=16,
    vision_layers=1,
    text_width=16,
    text_layers=2,
    heads=2,
    mlp_width=16,
    vocabulary=300,
)
STATISTICS = {
    "observation.state": {"mean": torch.arange(8.0), "std": torch.full((8,), 2.0)},
    "action": {"mean": torch.full((7,), 0.5), "std": torch.full((7,), 0.25)},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in a place of its own, its backbone made somewhere else and gone."""
    made = tmp_path_factory.mktemp("made")
    write_vlm_folder(made / "vlm", [INSTRUCTION], SMALL)
    policy = build_tiny_smolvla(made / "vlm", SMALL, seed=1)
    folder = tmp_path_factory.mktemp("saved") / "policy"
    save_checkpoint(policy, STATISTICS, made / "vlm", folder)
    shutil.rmtree(made)
    return folder


@pytest.fixture(scope="module")
def loaded(folder: Path) -> LoadedPolicy:
    return load_policy(folder)


def frame() -> dict:
    generator = torch.Generator().manual_seed(0)
    pictures = {key: torch.rand(3, 256, 256, generator=generator) for key in CAMERA_KEYS}
    return {**pictures, "observation.state": torch.arange(8.0) + 2.0, "task": INSTRUCTION}


@pytest.fixture
def broken(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "policy"))


def test_a_saved_policy_answers_a_frame_with_a_chunk(loaded: LoadedPolicy) -> None:
    batch = loaded.preprocessor(frame())
    torch.testing.assert_close(batch["observation.state"], torch.ones(1, 8))
    noise = torch.zeros(1, 10, 7)
    chunk = loaded.policy.predict_action_chunk(batch, noise=noise)
    assert chunk.shape == (1, 10, 7)
    torch.testing.assert_close(loaded.postprocessor(chunk), chunk * 0.25 + 0.5)
    again = loaded.policy.predict_action_chunk(loaded.preprocessor(frame()), noise=noise)
    assert torch.equal(chunk, again)


def test_weights_are_float32_in_memory_and_half_on_disk(loaded: LoadedPolicy, folder: Path) -> None:
    assert {parameter.dtype for parameter in loaded.policy.parameters()} == {torch.float32}
    assert not loaded.policy.training
    numbers = sum(parameter.numel() for parameter in loaded.policy.parameters())
    assert (folder / "model.safetensors").stat().st_size < 2.2 * numbers + 50_000


def test_the_files_name_no_path_of_the_machine_that_wrote_them(folder: Path) -> None:
    for path in folder.rglob("*.json"):
        if path.name != "tokenizer.json":
            assert '"/' not in path.read_text(encoding="utf-8"), path


def test_the_id_follows_the_weights_and_not_the_folder(folder: Path, broken: Path) -> None:
    copy = load_policy(broken)
    assert copy.policy_id == load_policy(folder).policy_id and len(copy.policy_id) == 16
    weights = bytearray((broken / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (broken / "model.safetensors").write_bytes(weights)
    assert load_policy(broken).policy_id != copy.policy_id


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match="no policy folder nowhere"):
        load_policy(Path("nowhere"))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_that_is_no_checkpoint_is_told_what_is_missing(broken: Path, name: str) -> None:
    (broken / name).unlink()
    with pytest.raises(ConfigurationError, match=f"{name} is missing"):
        load_policy(broken)


def test_a_checkpoint_without_processors_is_sent_to_lerobot_s_migration(broken: Path) -> None:
    (broken / "policy_postprocessor.json").unlink()
    with pytest.raises(ConfigurationError, match="migrate_policy_normalization"):
        load_policy(broken)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('{"type": "telepathy"}', "unknown policy type"),
        ("{", "not a policy configuration"),
        ("[]", "not a policy configuration"),
        ("{}", "not a policy configuration"),
    ],
)
def test_a_wrong_configuration_is_told_in_words(broken: Path, config: str, message: str) -> None:
    (broken / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message):
        load_policy(broken)


def test_a_missing_backbone_folder_is_named(broken: Path) -> None:
    shutil.rmtree(broken / "vlm")
    with pytest.raises(ConfigurationError, match="names 'vlm', but"):
        load_policy(broken)


def test_a_hub_name_that_cannot_be_had_says_how_to_fetch_it() -> None:
    with pytest.raises(ConfigurationError, match="hf download nobody/nothing"):
        load_policy("nobody/nothing")


def test_a_policy_that_the_hub_s_cache_holds_is_loaded_by_its_name(
    folder: Path, loaded: LoadedPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = 40 * "a"
    kept = tmp_path / "models--somebody--lifts"
    shutil.copytree(folder, kept / "snapshots" / revision)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(revision, encoding="utf-8")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    from_hub = load_policy("somebody/lifts")
    assert from_hub.name == "smolvla from lifts"
    assert from_hub.policy_id == loaded.policy_id


@pytest.mark.parametrize("family", ["pi0", "pi05"])
def test_a_saved_pi_policy_loads_with_its_processors_and_without_a_warning(
    family: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    policy = build_tiny_pi(family, seed=3)
    save_tiny_pi(policy, PiSize(), statistics(), tmp_path)
    loaded = load_policy(tmp_path)
    assert "Vision embedding" not in caplog.text
    assert loaded.name.startswith(f"{family} from ")
    batch = loaded.preprocessor(frame())
    assert 0 < int(batch["observation.language.attention_mask"].sum()) < PiSize().language
    noise = torch.zeros(1, PiSize().chunk, 8)
    chunk = loaded.policy.predict_action_chunk(batch, noise=noise)
    assert torch.equal(chunk, policy.predict_action_chunk(batch, noise=noise))
    assert loaded.postprocessor(chunk).shape == (1, PiSize().chunk, 7)


@pytest.mark.parametrize("family", ["pi0", "pi05"])
def test_a_policy_that_would_compile_itself_is_loaded_uncompiled_and_that_is_said(
    family: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Checkpoints of pi0 that were trained so are on the hub with both of these settings."""
    save_tiny_pi(build_tiny_pi(family), PiSize(), statistics(), tmp_path)
    load_policy(tmp_path)
    assert "uncompiled" not in caplog.text
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    config |= {"compile_model": True, "gradient_checkpointing": True}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    loaded = load_policy(tmp_path)
    assert "compile:=always" in caplog.text and str(tmp_path) in caplog.text
    adapter = adapter_for(family, loaded.policy)
    noise = torch.zeros(1, *adapter.noise_shape)
    plain = adapter.predict(loaded.preprocessor(frame()), noise)
    adapter.attach("expert.1", torch.ones_like)
    assert not torch.equal(adapter.predict(loaded.preprocessor(frame()), noise), plain)


def test_a_saved_x_vla_policy_loads_with_its_processors(tmp_path: Path) -> None:
    save_tiny_xvla(build_tiny_xvla(), statistics(), tmp_path)
    loaded = load_policy(tmp_path)
    batch = loaded.preprocessor(frame())
    assert batch["observation.language.tokens"].shape == (1, 48)
    assert loaded.postprocessor(loaded.policy.predict_action_chunk(batch)).shape == (1, 6, 7)


def test_pi_weights_that_do_not_fit_are_refused_where_lerobot_goes_on_at_random(
    tmp_path: Path,
) -> None:
    save_tiny_pi(build_tiny_pi("pi0"), PiSize(), statistics(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    config["max_state_dim"] = 32
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="state_proj"):
        load_policy(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ConfigurationError, match="could not be loaded"):
        load_policy(tmp_path)


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.float8_e4m3fn])
def test_quantised_weights_are_refused_by_tensor(broken: Path, kind: torch.dtype) -> None:
    weights = load_file(broken / "model.safetensors")
    name = next(name for name, one in sorted(weights.items()) if one.ndim == 2)
    save_file(weights | {name: weights[name].to(kind)}, broken / "model.safetensors")
    with pytest.raises(ConfigurationError, match=rf"numbers of {name}.*Quantised"):
        load_policy(broken)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"type": ["pi0"]}', '{"type": {}}', "[]"])
@pytest.mark.parametrize("file", ["config.json", "policy_preprocessor.json"])
def test_a_file_that_is_something_else_is_named(broken: Path, file: str, content: str) -> None:
    (broken / file).write_text(content)
    with pytest.raises(ConfigurationError, match=file):
        load_policy(broken)


def test_truncated_weights_are_refused(broken: Path) -> None:
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ConfigurationError, match="could not be loaded"):
        load_policy(broken)


def test_weights_of_another_layout_are_refused(broken: Path) -> None:
    config = json.loads((broken / "config.json").read_text(encoding="utf-8"))
    config["max_state_dim"] = 32
    (broken / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="state_proj"):
        load_policy(broken)
