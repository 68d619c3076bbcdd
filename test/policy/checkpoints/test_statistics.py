"""A policy without the statistics that it normalises by is refused where lerobot goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_families import statistics

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny.tiny_pi import PiSize, build_tiny_pi, save_tiny_pi

OFFERED = {
    "observation.images.agentview": None,
    "observation.images.wrist": None,
    "observation.state": (8,),
}


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "policy"
    save_tiny_pi(build_tiny_pi("pi05", PiSize()), PiSize(), statistics(), folder)
    return folder


def changed(policy: Path, folder: Path, processor: str, change) -> PolicyEngine:
    """Return the engine of a copy whose processor's statistics are others."""
    folder.mkdir()
    for file in policy.rglob("*"):
        if file.is_file():
            target = folder / file.relative_to(policy)
            target.parent.mkdir(exist_ok=True, parents=True)
            target.write_bytes(file.read_bytes())
    (file,) = folder.glob(f"policy_{processor}_*normalizer*.safetensors")
    tensors = change(load_file(file))
    save_file(tensors or {"unused.mean": torch.zeros(1)}, file)
    return PolicyEngine(load_policy(folder))


def test_a_whole_policy_is_taken(policy: Path, tmp_path: Path) -> None:
    changed(policy, tmp_path / "p", "preprocessor", dict).observe(OFFERED)


def test_statistics_under_another_key_are_refused_with_the_keys_that_are_there(
    policy: Path, tmp_path: Path
) -> None:
    engine = changed(
        policy,
        tmp_path / "p",
        "preprocessor",
        lambda stats: {f"so100.buffer.{key}": value for key, value in stats.items()},
    )
    with pytest.raises(ConfigurationError, match=r"so100\.buffer\.observation\.state") as refused:
        engine.observe(OFFERED)
    assert "observation.state.q01" in str(refused.value).partition("allowed")[2]


@pytest.mark.parametrize("processor", ["preprocessor", "postprocessor"])
def test_missing_statistics_are_refused(policy: Path, tmp_path: Path, processor: str) -> None:
    engine = changed(policy, tmp_path / "p", processor, lambda stats: {})
    with pytest.raises(ConfigurationError, match="statistics"):
        engine.observe(OFFERED)


WRONG = {
    "NaN or infinite": lambda bound: torch.full_like(bound, torch.nan),
    "NaN or infinite numbers": lambda bound: torch.full_like(bound, torch.inf),
    "14 numbers": lambda bound: torch.ones(14),
    "1 numbers": lambda bound: torch.ones(1),
    "a spread below 0": lambda bound: -bound - 1e6,
}


@pytest.mark.parametrize("said", WRONG)
@pytest.mark.parametrize(
    ("processor", "key"), [("preprocessor", "observation.state"), ("postprocessor", "action")]
)
def test_statistics_that_cannot_be_are_refused_before_anything_starts(
    policy: Path, tmp_path: Path, processor: str, key: str, said: str
) -> None:
    def change(stats):
        return stats | {f"{key}.q99": WRONG[said](stats[f"{key}.q99"])}

    engine = changed(policy, tmp_path / "p", processor, change)
    with pytest.raises(ConfigurationError, match=f"{key}.*{said.removesuffix(' numbers')}"):
        engine.observe(OFFERED)


def test_a_number_that_never_changed_in_the_data_is_no_fault(policy: Path, tmp_path: Path) -> None:
    def without_spread(stats):
        return stats | {"observation.state.q99": stats["observation.state.q01"].clone()}

    changed(policy, tmp_path / "p", "preprocessor", without_spread).observe(OFFERED)


def test_a_statistic_that_is_missing_alone_is_named(policy: Path, tmp_path: Path) -> None:
    engine = changed(
        policy,
        tmp_path / "p",
        "postprocessor",
        lambda stats: {key: value for key, value in stats.items() if key != "action.q99"},
    )
    with pytest.raises(ConfigurationError, match=r"allowed: action\.q99\."):
        engine.observe(OFFERED)
