"""The inputs of a plan, found: policy, SAEs, tasks, mean-difference directions."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.activations.format import Collection, EpisodeRecord
from vla_sae_ros.core.errors import ConfigurationError, VlaSaeError, complaint
from vla_sae_ros.core.picture_record import Quality
from vla_sae_ros.policy.checkpoints.feature_match import over
from vla_sae_ros.policy.load_options import DEFAULT_OPTIONS, LoadOptions
from vla_sae_ros.policy.taps.directions import Vector
from vla_sae_ros.resources import resource
from vla_sae_ros.sae.bundle import policy_site
from vla_sae_ros.sim.benchmark import Benchmark, benchmark_named
from vla_sae_ros.sim.conventions import known_readings
from vla_sae_ros.sim.environment import TaskSpec
from vla_sae_ros.study.experiment.design.plan import NamedTask, StudyInputs
from vla_sae_ros.study.experiment.design.study_file import Study
from vla_sae_ros.study.experiment.design.study_parts import Donor, MeanDifference
from vla_sae_ros.study.experiment.run.simulated_setup import SimulatedSetupSpec
from vla_sae_ros.study.rollouts.trials import parse_range, parse_tasks


def inputs_of(
    study: Study,
    render_quality: Quality = "full",
    names: Mapping[str, str] = {},
    compiled: bool = False,
    options: LoadOptions = DEFAULT_OPTIONS,
) -> tuple[StudyInputs, SimulatedSetupSpec]:
    """Load the policy and its SAEs once, and look up the tasks; `names` as in `--map`.

    compiled: the policy of the runs is to be compiled; here it is not.

    Raises:
        ConfigurationError: anything that the study names is missing or does not fit.
    """
    policy = policy_of(study)
    beside = sorted(path.parent for path in (policy.parent / "sae").glob("*/bundle.yaml"))
    folders = study.bundles or tuple(beside)
    benchmark = benchmark_named(study.env, study.contract or "", render_quality)
    suite = study.places[0].suite
    contract = benchmark.contract(suite)
    first = SimulatedSetupSpec(
        policy,
        folders,
        render_quality=render_quality,
        env=study.env,
        suite=suite,
        contract=str(study.contract or ""),
        names=tuple(over(names, contract.names).items()),
        options=options,
    )
    setup = first.open()
    setup.check(contract, compiled)
    settings = study.mean_difference
    vectors = {} if settings is None else _vectors(study, settings, setup.policy[0])
    ids = {site: content_id(vector) for site, vector in vectors.items()}
    inputs = StudyInputs(
        setup.policy[0],
        setup.sites,
        setup.bundles,
        [
            [
                NamedTask(task_name(task), task)
                for task in parse_tasks(task_set.suite, task_set.tasks, benchmark)
            ]
            for task_set in study.places
        ],
        [parse_range(place.init_states or benchmark.init_states) for place in study.places],
        ids,
        render_quality,
        names=tuple(sorted(names.items())),
        readings=known_readings(contract),
        compiled=compiled,
        unnorm_key=setup.unnorm_key,
        chunk_length=setup.chunk_length,
        donors=[
            [_donor(one, suite, benchmark) for one in injection.donors]
            for injection in study.injection
        ],
    )
    by_id = {ids[site]: tuple(map(float, vector)) for site, vector in vectors.items()}
    return inputs, replace(first, vectors=by_id, compiled=compiled)


def _vectors(study: Study, settings: MeanDifference, policy_id: str) -> dict[str, Vector]:
    """Return site -> its mean-difference direction.

    Raises:
        ConfigurationError: the activations are missing, of another policy or lack something; with
            the command.
    """
    sites = {features.site: policy_site(features.site) for features in study.features}
    try:
        collected = Collection.load(settings.activations).policy_id
        if collected != policy_id:
            what = f"policy of the activations in {settings.activations}"
            raise ConfigurationError(complaint(what, collected, f"{policy_id!r}, the study's"))
        return {site: mean_difference(settings, read) for site, read in sites.items()}
    except VlaSaeError as error:
        place = study.places[0]
        words = ["vla-sae", "collect", str(settings.activations), "--sites"]
        words += dict.fromkeys(sites.values())
        words += ["--policy", str(study.policy)] if study.policy else []
        words += ["--suite", place.suite] if place.suite else []
        words += ["--env", study.env, "--tasks", place.tasks, "--episodes", "5"]
        raise ConfigurationError(
            f"{error} The study's arm mean_difference needs these activations. This makes them: "
            f"{shlex.join(words)}"
        ) from error


def _donor(donor: Donor, suite: str, benchmark: Benchmark) -> tuple[NamedTask, int]:
    """Return the task and the initial state of an episode that is played into others."""
    tasks = parse_tasks(donor.suite or suite, donor.task, benchmark)
    if len(tasks) != 1:
        raise ConfigurationError(complaint("`injection.donors.task`", donor.task, "one task"))
    first = parse_range(benchmark.init_states)[0]
    state = first if donor.init_state is None else donor.init_state
    return NamedTask(task_name(tasks[0]), tasks[0]), state


def policy_of(study: Study) -> Path:
    """Return the policy's folder: the demonstration's where the study names none."""
    return study.policy or resource("models", "demo", "policy")


def task_name(task: TaskSpec) -> str:
    """Return "0", or "0:butter_1" where another object than the scene's own is to be brought."""
    return f"{task.task_index}:{task.goal[0][1]}" if task.goal else str(task.task_index)


def mean_difference(settings: MeanDifference, site: str) -> Vector:
    """Return the mean activation (d,) of the one kind of episodes minus that of the other.

    Raises:
        ConfigurationError: the activations have no episode of a kind.
    """
    dataset = ActivationDataset.open(settings.activations)
    kinds: Mapping[str, list[EpisodeRecord]]
    if settings.by == "success":
        kinds = {
            "success": [one for one in dataset.episodes if one.success],
            "failure": [one for one in dataset.episodes if one.success is False],
        }
    else:
        kinds = {
            told: [one for one in dataset.episodes if one.instruction == told]
            for told in (settings.a, settings.b)
        }
    means = []
    for kind, episodes in kinds.items():
        if not episodes:
            raise ConfigurationError(_no_such_episode(settings.activations, kind, dataset))
        rows = np.asarray(dataset.load(site, episodes).rows[:], np.float64)
        means.append(rows.mean(axis=0))
    return np.asarray(means[0] - means[1])


def content_id(vector: Vector) -> str:
    """Return 16 hex digits that tell this direction from any other."""
    return hashlib.sha256(np.asarray(vector, "<f8").tobytes()).hexdigest()[:16]


def _no_such_episode(folder: Path, kind: str, dataset: ActivationDataset) -> str:
    told = sorted({one.instruction for one in dataset.episodes})
    return complaint(
        f"episodes in {folder} for the mean difference",
        kind,
        f"success, failure, or of {told}",
        "Collect more episodes.",
    )
