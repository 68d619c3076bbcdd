"""How much actions change with the reconstruction in the stream, over kept observations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from observed_episodes import SITE, collect_observed, query, train_sae_arguments
from perfect_bundle import perfect

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.cli import main
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.autoencoders.substitution import kept_steps, on_observations


@pytest.fixture(scope="module")
def dataset(loaded: LoadedPolicy, tmp_path_factory: pytest.TempPathFactory) -> ActivationDataset:
    folder = tmp_path_factory.mktemp("observed") / "act"
    collect_observed(loaded, folder, [0, 1, 2], keep=True)
    return ActivationDataset.open(folder)


def test_the_error_is_that_of_the_same_inference_with_and_without(
    loaded: LoadedPolicy, make_bundle: Callable[..., SaeBundle], dataset: ActivationDataset
) -> None:
    bundle = make_bundle(loaded, SITE)
    found = on_observations(loaded, bundle, dataset, [("e1", 5)])
    engine = PolicyEngine(loaded)
    substitution = engine.attach_substitution(bundle)
    asked, chunks = query(1, 5), []
    for active in (False, True):
        substitution.active = active
        chunks.append(engine.infer(asked.frame, asked.instruction, (1, 5)).actions)
    engine.close()
    assert found.mean == pytest.approx(float(np.abs(chunks[1] - chunks[0]).mean()))
    assert found.mean > 0 and found.inferences == 1
    spread = np.abs(chunks[0] - chunks[0].mean(axis=0)).mean()
    assert found.spread == pytest.approx(float(spread))


def test_an_sae_that_reconstructs_everything_has_no_error(
    loaded: LoadedPolicy, make_bundle: Callable[..., SaeBundle], dataset: ActivationDataset
) -> None:
    bundle = perfect(make_bundle(loaded, SITE))
    moments = kept_steps(dataset, dataset.episodes, 100)
    assert on_observations(loaded, bundle, dataset, moments).mean < 1e-4


def test_moments_are_spread_over_the_kept_ones(
    loaded: LoadedPolicy, dataset: ActivationDataset, tmp_path: Path
) -> None:
    assert kept_steps(dataset, dataset.episodes, 3) == [("e0", 0), ("e1", 5), ("e2", 10)]
    assert len(kept_steps(dataset, dataset.episodes, 100)) == 9
    collect_observed(loaded, tmp_path / "bare", [0, 1], keep=False)
    bare = ActivationDataset.open(tmp_path / "bare")
    with pytest.raises(ConfigurationError, match="--keep-observations"):
        kept_steps(bare, bare.episodes, 3)


def test_train_sae_measures_it_and_refuses_another_policy_before_training(
    loaded: LoadedPolicy,
    tiny_policy_folder: Path,
    dataset: ActivationDataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [*train_sae_arguments(dataset.folder, tmp_path / "sae"), "--action-error", "2"]
    assert main(arguments) == 2, "the demonstration's policy did not collect these"
    assert "--policy" in capsys.readouterr().err
    assert main([*arguments, "--policy", str(tiny_policy_folder)]) == 0
    metrics = SaeBundle.load(tmp_path / "sae").card.metrics
    assert metrics["substitution_action_error"] > 0
    with pytest.raises(SystemExit):
        main([*arguments, "--env", "libero_object"])
