"""A policy fine-tuned with LoRA is loaded as the policy that its adapter makes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tiny_families import statistics

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny.tiny_pi import PiSize, build_tiny_pi, save_tiny_pi

FRAME = {
    "observation.images.agentview": np.full((32, 32, 3), 90, np.uint8),
    "observation.images.wrist": np.full((32, 32, 3), 200, np.uint8),
    "observation.state": np.linspace(-1, 1, 8, dtype=np.float32),
}
TARGETS = r".*gemma_expert.*\.(q_proj|v_proj)"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a base policy's folder and an adapter's, as lerobot's training leaves it."""
    base, tuned = (tmp_path_factory.mktemp("lora") / name for name in ("base", "tuned"))
    save_tiny_pi(build_tiny_pi("pi05"), PiSize(), statistics(), base)
    loaded = load_policy(base)
    torch.manual_seed(3)
    settings = LoraConfig(
        r=4,
        target_modules=TARGETS,
        modules_to_save=["action_out_proj"],
        base_model_name_or_path=str(base),
    )
    adapted = get_peft_model(loaded.policy, settings)
    for name, parameter in adapted.named_parameters():
        if "lora" in name or "modules_to_save" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(tuned)
    described = json.loads((tuned / "adapter_config.json").read_text())
    described["base_model_name_or_path"] = str(base)
    (tuned / "adapter_config.json").write_text(json.dumps(described))
    for file in base.rglob("*"):
        if file.is_file() and file.name not in ("model.safetensors", "shrunken.json"):
            (tuned / file.relative_to(base)).parent.mkdir(exist_ok=True, parents=True)
            shutil.copy(file, tuned / file.relative_to(base))
    return base, tuned


def test_an_adapters_folder_acts_as_the_policy_with_the_adapter(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    base, tuned = folders
    saved = load_file(tuned / "adapter_model.safetensors")
    by_hand = load_file(base / "model.safetensors")
    for name, below in saved.items():  # W + B A alpha / r, by hand
        inner = name.removeprefix("base_model.model.")
        if name.endswith("lora_A.weight"):
            above = saved[name.replace("lora_A", "lora_B")]
            by_hand[inner.replace("lora_A.", "")] += above @ below * (8 / 4)
        elif "lora" not in name:
            by_hand[inner] = below
    whole = tmp_path / "whole"
    shutil.copytree(base, whole)
    save_file(by_hand, whole / "model.safetensors", {"format": "pt"})
    chunks = {}
    for name, folder in (("base", base), ("tuned", tuned), ("by hand", whole)):
        engine = PolicyEngine(load_policy(folder))
        chunks[name] = engine.infer(FRAME, "pick up the butter", (1, 0)).actions
    np.testing.assert_allclose(chunks["tuned"], chunks["by hand"], atol=1e-5)
    assert np.abs(chunks["tuned"] - chunks["base"]).max() > 1e-2


def test_its_id_and_its_sites_are_a_policys_own(folders: tuple[Path, Path]) -> None:
    base, tuned = (load_policy(folder) for folder in folders)
    assert base.policy_id != tuned.policy_id
    assert list(PolicyEngine(tuned).adapter.sites) == list(PolicyEngine(base).adapter.sites)


def changed(tuned: Path, folder: Path, **described: object) -> Path:
    shutil.copytree(tuned, folder)
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | described))
    return folder


def test_an_adapter_without_its_base_says_which_it_is_of(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    gone = str(tmp_path / "gone")
    folder = changed(folders[1], tmp_path / "a", base_model_name_or_path=gone)
    with pytest.raises(ConfigurationError, match=f"LoRA adapter of {gone}"):
        load_policy(folder)
    folder = changed(folders[1], tmp_path / "b", base_model_name_or_path=None)
    with pytest.raises(ConfigurationError, match="base_model_name_or_path"):
        load_policy(folder)


def test_a_base_beside_the_adapter_is_found_by_its_name(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(folders[0], tmp_path / "base")
    folder = changed(folders[1], tmp_path / "a", base_model_name_or_path="base")
    assert load_policy(folder).policy_id == load_policy(folders[1]).policy_id


def test_an_adapter_that_lacks_weights_is_refused(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = changed(folders[1], tmp_path / "a")
    saved = load_file(folder / "adapter_model.safetensors")
    lost = next(name for name in saved if "lora_B" in name)
    save_file(
        {name: value for name, value in saved.items() if name != lost},
        folder / "adapter_model.safetensors",
    )
    with pytest.raises(ConfigurationError, match="weights of the LoRA adapter"):
        load_policy(folder)


@pytest.mark.parametrize("base", [5, None, ["a"], {}, ""])
def test_an_adapter_whose_base_is_no_name_is_refused(
    folders: tuple[Path, Path], tmp_path: Path, base: object
) -> None:
    shutil.copytree(folders[1], tmp_path / "p")
    path = tmp_path / "p" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": base}))
    with pytest.raises(ConfigurationError, match="base_model_name_or_path"):
        load_policy(tmp_path / "p")
