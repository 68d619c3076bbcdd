"""What a study may ask of a compiled policy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from toy_setup import SITE, toy_inputs, toy_study

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.experiment.design.compiled_study import check_slots
from vla_sae_ros.study.experiment.design.plan import make_plan
from vla_sae_ros.study.experiment.design.settings import Change, RunSettings


def test_compiled_is_part_of_every_run() -> None:
    study = toy_study(protocols=["P1", "P2"], observations={"count": 4, "every": 5})
    runs = make_plan(study, replace(toy_inputs(study), compiled=True)).runs
    eager = {run.run_id for run in make_plan(study, toy_inputs(study)).runs}
    assert len(runs) == len(eager) and not eager & {run.run_id for run in runs}
    assert all(run.settings.compiled for run in runs)


@pytest.mark.parametrize("protocol", ["P4", "P5"])
def test_a_protocol_that_needs_other_graphs_is_refused_by_name(protocol: str) -> None:
    study = toy_study(protocols=["P2", protocol])
    make_plan(study, toy_inputs(study))
    with pytest.raises(ConfigurationError, match=f"--compile with {protocol}.*without --compile"):
        make_plan(study, replace(toy_inputs(study), compiled=True))


def test_an_injection_is_refused_by_name() -> None:
    donor = {"task": "0", "seed": 3}
    study = toy_study(arms=["none", "injection"], injection=[{"sites": [SITE], "donors": [donor]}])
    make_plan(study, toy_inputs(study))
    with pytest.raises(ConfigurationError, match="--compile with injection"):
        make_plan(study, replace(toy_inputs(study), compiled=True))


def test_more_changes_of_a_site_than_the_graph_has_slots_are_refused() -> None:
    change = Change(SITE, "row:1", -1, "project_out", "", 0.0)
    most = RunSettings("rollout", "p", None, "", (0,), 10, 5, 1.5, changes=(change,) * 64)
    check_slots([most])
    with pytest.raises(ConfigurationError, match=r"toy\.0.*65.*at most 64"):
        check_slots([most, replace(most, changes=(change,) * 65)])
