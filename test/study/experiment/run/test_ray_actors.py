"""Runs on a Ray cluster of two nodes on this machine: the same table as by processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from local_cluster import local_cluster
from toy_setup import InProcess, ToySetupSpec, toy_inputs, toy_study

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.experiment.design.plan import make_plan
from vla_sae_ros.study.experiment.records.table import Row, read_table
from vla_sae_ros.study.experiment.run.evaluation import evaluate
from vla_sae_ros.study.experiment.run.store import Store

pytest.importorskip("ray")

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of two nodes with a CPU each."""
    with local_cluster((1, 1), monkeypatch) as address:
        yield address


def without_clock(rows: list[Row]) -> list[Row]:
    return [replace(row, seconds=0.0, worker="", attempt=1) for row in rows]


def test_two_nodes_make_the_table_that_one_process_makes(cluster: str, tmp_path: Path) -> None:
    from vla_sae_ros.study.experiment.run.ray_actors import RayActors

    deadly = tmp_path / "deadly"
    deadly.touch()
    study = toy_study(
        places=[{"suite": "toy", "init_states": "0-3", "rollouts": 4}], arms=["none", "feature"]
    )
    plan = make_plan(study, toy_inputs(study))
    pool = RayActors(cluster, 0, ToySetupSpec(killed_by=deadly), tmp_path / "a")
    assert (pool.count, pool.nodes) == (2, 2)
    said: list[str] = []
    try:
        with Store(tmp_path / "a") as store:
            tally = evaluate(plan, store, pool, said=said.append)
    finally:
        pool.close()
    assert (tally.made, tally.lost, tally.given_up) == (len(plan.runs), 1, 0)
    assert "its worker is gone" in said[0]
    with Store(tmp_path / "b") as store:
        evaluate(plan, store, InProcess(ToySetupSpec(), tmp_path / "b"))
    found, wanted = (read_table(tmp_path / name) for name in "ab")
    assert without_clock(found) == without_clock(wanted)
    assert len({row.worker for row in found}) in (2, 3)


@pytest.mark.parametrize("address", ["nobody", "127.0.0.1", "127.0.0.1:many", "127.0.0.1:9"])
def test_without_a_cluster_it_says_how_to_start_one(address: str, tmp_path: Path) -> None:
    from vla_sae_ros.study.experiment.run.ray_actors import RayActors

    with pytest.raises(ConfigurationError, match="ray start --head"):
        RayActors(address, 0, ToySetupSpec(), tmp_path)


def test_no_cluster_on_this_machine_is_said_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's own answer is played: "auto" would join the cluster of another test."""
    from vla_sae_ros.study.batches.ray_cluster import ray
    from vla_sae_ros.study.experiment.run.ray_actors import RayActors

    def nobody(*_: object, **__: object) -> None:
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(ray, "init", nobody)
    with pytest.raises(ConfigurationError, match="ray start --head"):
        RayActors("auto", 0, ToySetupSpec(), tmp_path)
