"""Folders of other libraries are named as what they are, with the way on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.loading import load_policy

OPENPI_CONFIG = {
    "action_dim": 32,
    "action_horizon": 10,
    "paligemma_variant": "gemma_2b",
    "action_expert_variant": "gemma_300m",
    "precision": "bfloat16",
}


def orbax_step(folder: Path) -> Path:
    (folder / "params" / "ocdbt.process_0").mkdir(parents=True)
    (folder / "params" / "_METADATA").write_text("{}")
    (folder / "assets" / "droid").mkdir(parents=True)
    (folder / "assets" / "droid" / "norm_stats.json").write_text("{}")
    (folder / "_CHECKPOINT_METADATA").write_text("{}")
    return folder


@pytest.mark.parametrize("part", [".", "params"])
def test_openpi_s_jax_checkpoint_is_named_with_the_command_that_converts_it(
    tmp_path: Path, part: str
) -> None:
    folder = orbax_step(tmp_path / "29999") / part
    with pytest.raises(ConfigurationError, match="JAX checkpoint of openpi") as refused:
        load_policy(folder)
    assert "convert_jax_model_to_pytorch.py --checkpoint_dir" in str(refused.value)


def test_a_params_folder_whose_parent_was_left_behind_is_known_too(tmp_path: Path) -> None:
    (tmp_path / "params" / "d").mkdir(parents=True)
    (tmp_path / "params" / "manifest.ocdbt").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="openpi"):
        load_policy(tmp_path)


def test_openpi_s_pytorch_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(OPENPI_CONFIG))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"PyTorch checkpoint of openpi.*families\.md"):
        load_policy(tmp_path)


def test_weights_beside_openpi_s_assets_are_named(tmp_path: Path) -> None:
    (tmp_path / "assets" / "trossen").mkdir(parents=True)
    (tmp_path / "assets" / "trossen" / "norm_stats.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="openpi's assets"):
        load_policy(tmp_path)


def test_an_adapter_alone_is_named_with_its_base(tmp_path: Path) -> None:
    described = {"base_model_name_or_path": "lerobot/pi05_base", "peft_type": "LORA"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(described))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"LoRA adapter \(peft\) of lerobot/pi05_base"):
        load_policy(tmp_path)
