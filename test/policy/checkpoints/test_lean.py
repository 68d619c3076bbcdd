"""Loading draws no weights that it replaces, and lets go of the file that it copies from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_families import statistics
from torch import nn

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.checkpoints.checkpoint_files import WEIGHTS
from vla_sae_ros.policy.checkpoints.lean import (
    let_go,
    mapped_weights_let_go,
    without_random_weights,
)
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny.tiny_pi import PiSize, build_tiny_pi, save_tiny_pi

MEGABYTE = 1 << 20


def of_files() -> int:
    """Return how much mapped memory of files is in this process [bytes]."""
    status = Path("/proc/self/status").read_text()
    (kilobytes,) = re.findall(r"RssFile:\s+(\d+) kB", status)
    return int(kilobytes) * 1024


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """64 MB of weights."""
    save_file({"weight": torch.arange(16.0 * MEGABYTE).view(4096, 4096)}, tmp_path / WEIGHTS)
    return tmp_path / WEIGHTS


def test_what_was_read_of_a_mapped_file_is_given_back_and_can_be_read_again(weights: Path) -> None:
    tensor = load_file(weights)["weight"]
    before = of_files()
    total = tensor.sum()
    let_go(tensor)
    assert of_files() - before < 32 * MEGABYTE
    assert tensor.sum() == total


def test_memory_that_is_no_files_keeps_what_is_in_it() -> None:
    tensor = torch.full((16 * MEGABYTE,), 3.0)
    let_go(tensor)
    assert bool((tensor == 3.0).all())


def test_a_module_is_loaded_without_a_second_copy_of_its_weights(weights: Path) -> None:
    module = nn.Linear(4096, 4096, bias=False)
    state = load_file(weights)
    before = of_files()
    with mapped_weights_let_go():
        module.load_state_dict(state)
    assert of_files() - before < 32 * MEGABYTE
    assert torch.equal(module.weight, state["weight"])
    assert nn.Module._load_from_state_dict.__module__ == nn.Module.__module__


def test_no_weight_is_drawn_in_the_context_and_all_are_after_it() -> None:
    state = torch.random.get_rng_state()
    with without_random_weights():
        nn.Linear(8, 8)
    assert torch.equal(torch.random.get_rng_state(), state)
    nn.Linear(8, 8)
    assert not torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("family", ["pi0", "pi05"])
def test_every_weight_of_a_loaded_policy_is_the_files(family: str, tmp_path: Path) -> None:
    saved = build_tiny_pi(family)
    save_tiny_pi(saved, PiSize(), statistics(), tmp_path)
    loaded = load_policy(tmp_path).policy.state_dict()
    assert loaded.keys() == saved.state_dict().keys()
    for name, tensor in saved.state_dict().items():
        assert torch.equal(loaded[name], tensor), name


@pytest.mark.parametrize("family", ["smolvla", "pi05"])
def test_a_file_that_lacks_a_weight_is_refused(
    family: str, tiny_policy_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "policy"
    if family == "smolvla":
        folder.mkdir()
        for path in tiny_policy_folder.iterdir():
            (folder / path.name).symlink_to(path)
        (folder / WEIGHTS).unlink()
        whole = load_file(tiny_policy_folder / WEIGHTS)
    else:
        save_tiny_pi(build_tiny_pi(family), PiSize(), statistics(), folder)
        whole = load_file(folder / WEIGHTS)
    left_out = next(name for name in whole if "expert" in name)
    rest = {name: tensor.clone() for name, tensor in whole.items() if name != left_out}
    save_file(rest, folder / WEIGHTS, {"format": "pt"})
    with pytest.raises(ConfigurationError, match=re.escape(left_out)):
        load_policy(folder)


def test_a_policy_in_bfloat16_stays_so_on_a_cpu_where_it_is_asked_to(tmp_path: Path) -> None:
    save_tiny_pi(build_tiny_pi("pi05", dtype="bfloat16"), PiSize(), statistics(), tmp_path)
    assert kinds(load_policy(tmp_path, float32_on_cpu=False).policy) >= {torch.bfloat16}
    assert kinds(load_policy(tmp_path).policy) == {torch.float32}


def kinds(policy: nn.Module) -> set[torch.dtype]:
    return {parameter.dtype for parameter in policy.parameters()}
