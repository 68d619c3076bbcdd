"""Episodes collected side by side hold what they hold when collected one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from counting_scene import TASKS, CountingScene
from local_cluster import local_cluster
from real_environments import METAWORLD, untrained_policy
from walking_scene import FailingScene

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.activations.format import Collection, CollectionError
from vla_sae_ros.activations.frames import read_frame
from vla_sae_ros.activations.observations import observed_steps, read_observation
from vla_sae_ros.cli import main
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.batch_engine import BatchEngine
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.study.batches.jobs import Players
from vla_sae_ros.study.batches.policies import AnsweringPolicy, PolicySpec
from vla_sae_ros.study.batches.processes import PlayerProcesses
from vla_sae_ros.study.collection import activation_collection
from vla_sae_ros.study.collection.activation_collection import ActivationCollection, Tally
from vla_sae_ros.study.collection.batched_collection import BatchedCollection
from vla_sae_ros.study.collection.simulated_source import (
    PlannedEpisode,
    SimulatedSource,
    plan_collection,
)

SITES = ("backbone.1", "expert.0")
EVERY = 3


def planned() -> list[PlannedEpisode]:
    return [PlannedEpisode(trial, EVERY) for trial in plan_collection(TASKS, 3, 7)]


def collected(
    players: Players,
    engine: BatchEngine,
    folder: Path,
    episodes: list[PlannedEpisode],
    batch: int = 3,
) -> Tally:
    collection = BatchedCollection(engine, folder, SITES, "mean", episodes, 20.0, batch, 32, True)
    try:
        return collection.run(players, collection.waiting(), lambda episode: None)
    finally:
        collection.close()


def one_by_one(loaded: LoadedPolicy, folder: Path) -> None:
    engine = PolicyEngine(loaded)
    source = SimulatedSource(CountingScene(), plan_collection(TASKS, 3, 7), EVERY)
    collection = ActivationCollection(engine, folder, SITES, "mean", source, 32, True)
    collection.run(collection.waiting(), lambda episode: None)
    collection.close()
    engine.close()


def assert_the_same(found: Path, wanted: Path) -> None:
    ours, theirs = ActivationDataset.open(found), ActivationDataset.open(wanted)
    assert replace(ours.collection, policy_batch=1) == theirs.collection
    by_id = {one.episode_id: one for one in ours.episodes}
    assert by_id.keys() == {one.episode_id for one in theirs.episodes}
    for their in theirs.episodes:
        our = by_id[their.episode_id]
        assert (our.success, our.task) == (their.success, their.task)
        for site in SITES:
            a, b = ours.load(site, [our]), theirs.load(site, [their])
            np.testing.assert_allclose(a.rows[:], b.rows[:], atol=1e-4)
            assert [one.step for one in a.steps] == [one.step for one in b.steps]
            for one, other in zip(a.steps, b.steps, strict=True):
                assert (one.instruction, one.seed) == (other.instruction, other.seed)
                assert one.state == other.state and one.object_positions == other.object_positions
                assert one.action == pytest.approx(other.action, abs=1e-4)
                frames = [read_frame(path, our.episode_id, one.step) for path in (found, wanted)]
                assert frames[0] and frames[0] == frames[1]
        assert observed_steps(found, our.episode_id) == observed_steps(wanted, our.episode_id)
        last = observed_steps(found, our.episode_id)[-1]
        seen = [read_observation(path, our.episode_id, last) for path in (found, wanted)]
        for name, value in seen[0].frame.items():
            np.testing.assert_array_equal(value, seen[1].frame[name])


def test_a_folder_collected_side_by_side_is_the_one_collected_alone_up_to_rounding(
    loaded: LoadedPolicy, tmp_path: Path
) -> None:
    one_by_one(loaded, tmp_path / "alone")
    engine = BatchEngine(loaded)
    with PlayerProcesses(AnsweringPolicy(engine), 3, CountingScene) as players:
        first = collected(players, engine, tmp_path / "batch", planned()[:2])
        second = collected(players, engine, tmp_path / "batch", planned())
        assert max(players.batches) > 1
        # Other batches round otherwise: they are another collection.
        with pytest.raises(ConfigurationError, match=r"policy_batch \(3 there, 2 now\)"):
            collected(players, engine, tmp_path / "batch", planned(), batch=2)
    engine.close()
    assert Collection.load(tmp_path / "batch").policy_batch == 3
    assert (first.collected, second.collected, second.skipped) == (2, 4, 2)
    assert_the_same(tmp_path / "batch", tmp_path / "alone")


def test_a_disk_that_will_not_hold_the_rest_is_said_before_it_is_full(
    loaded: LoadedPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        activation_collection.shutil, "disk_usage", lambda path: SimpleNamespace(free=10**8)
    )
    engine = BatchEngine(loaded)
    with (
        PlayerProcesses(AnsweringPolicy(engine), 1, CountingScene) as players,
        pytest.raises(CollectionError, match=r"kB per inference.*GB free"),
    ):
        collected(players, engine, tmp_path / "a", planned())
    engine.close()


def test_where_no_episode_can_be_played_the_reason_is_said(
    loaded: LoadedPolicy, tmp_path: Path
) -> None:
    engine = BatchEngine(loaded)
    with (
        PlayerProcesses(AnsweringPolicy(engine), 1, FailingScene) as players,
        pytest.raises(ConfigurationError, match="No episode could be collected: fake-0"),
    ):
        collected(players, engine, tmp_path / "a", planned()[:1])
    engine.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a node with two CPUs and one with one."""
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch, local_cluster((2, 1), patch) as address:
        yield address


@pytest.mark.slow
def test_two_nodes_collect_what_one_process_collects(
    cluster: str, loaded: LoadedPolicy, tiny_policy_folder: Path, tmp_path: Path
) -> None:
    from vla_sae_ros.study.batches.ray_players import RayPlayers

    one_by_one(loaded, tmp_path / "alone")
    engine = BatchEngine(loaded)
    with RayPlayers(cluster, PolicySpec(tiny_policy_folder), CountingScene, 2) as players:
        assert (players.count, players.machines) == (3, 2)
        tally = collected(players, engine, tmp_path / "cluster", planned())
    engine.close()
    assert (tally.collected, tally.broken) == (6, ())
    assert_the_same(tmp_path / "cluster", tmp_path / "alone")


@pytest.mark.slow
def test_a_cluster_collects_in_an_environment_that_is_not_libero(
    cluster: str, tmp_path: Path
) -> None:
    pytest.importorskip(METAWORLD.package, reason=METAWORLD.install)
    policy, _ = untrained_policy(METAWORLD, tmp_path)
    short = ["--episodes", "1", "--max-steps", "2", "--every", "1"]
    told = [*METAWORLD.options, "--policy", str(policy), "--sites", "backbone.1", *short]
    assert main(["collect", str(tmp_path / "here"), *told]) == 0
    assert main(["collect", str(tmp_path / "there"), *told, "--ray", cluster]) == 0
    here, there = (
        ActivationDataset.open(tmp_path / name).load("backbone.1") for name in ("here", "there")
    )
    np.testing.assert_allclose(here.rows[:], there.rows[:], atol=1e-4)
    assert [one.state for one in here.steps] == [one.state for one in there.steps]
    widths = {(len(one.state), len(one.action)) for one in there.steps}
    assert widths == {(METAWORLD.state, METAWORLD.action)}
