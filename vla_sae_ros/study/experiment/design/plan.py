"""Every run of a study, in the order in which a part of it is worth most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.picture_record import Quality
from vla_sae_ros.core.steering.condition import FEATURE, READINGS, Condition
from vla_sae_ros.core.steering.control import Control
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sae.bundle import policy_site
from vla_sae_ros.sim.environment import LIBERO, TaskSpec
from vla_sae_ros.study.experiment.design.arms import (
    EPISODES,
    Arm,
    baseline_arms,
    injection_arms,
    latency_arms,
    layer_arms,
    necessity_arms,
    steered_arms,
)
from vla_sae_ros.study.experiment.design.choice import chosen
from vla_sae_ros.study.experiment.design.compiled_study import check_compiled, check_slots
from vla_sae_ros.study.experiment.design.settings import Pair, RunSettings
from vla_sae_ros.study.experiment.design.study_file import Study
from vla_sae_ros.study.experiment.design.study_parts import InjectionArms, TaskSet
from vla_sae_ros.study.rollouts.execute_steps import executed_steps
from vla_sae_ros.study.rollouts.trials import step_limit


@dataclass(frozen=True)
class NamedTask:
    """A task as the study names it: "0" or "0:butter_1"."""

    name: str
    task: TaskSpec


@dataclass(frozen=True)
class StudyInputs:
    """The inputs of a plan: the policy, its SAEs and the tasks of each task set.

    bundles: by site. tasks, init_states: one entry per place of the study. mean_differences: site
    -> content id of its direction. render_quality, policy_batch, names, compiled, unnorm_key: see
    RunSettings. chunk_length: actions of the policy's chunk; None: not known.
    readings: kinds that conditions may use, see `core.steering.condition`. donors: task and initial
    state of those of each entry of the study's `injection`.
    """

    policy_id: str
    sites: Mapping[str, Site]
    bundles: Mapping[str, SaeBundle]
    tasks: Sequence[Sequence[NamedTask]]
    init_states: Sequence[Sequence[int]]
    mean_differences: Mapping[str, str]
    render_quality: Quality = "full"
    policy_batch: int = 1
    names: tuple[tuple[str, str], ...] = ()
    readings: frozenset[str] = frozenset(READINGS)
    donors: Sequence[Sequence[tuple[NamedTask, int]]] = ()
    compiled: bool = False
    unnorm_key: str = ""
    chunk_length: int | None = None


@dataclass(frozen=True)
class PlannedRun:
    """One run and every arm that it serves."""

    run_id: str
    settings: RunSettings
    task: TaskSpec | None
    arms: tuple[Arm, ...]
    filmed: bool = False


@dataclass(frozen=True)
class Plan:
    """The runs in order: observations first, then round by round, so that pairs are whole early."""

    study: Study
    runs: tuple[PlannedRun, ...]

    def counts(self) -> dict[tuple[str, str], int]:
        """Return how many runs each (protocol, arm) has."""
        return dict(Counter((arm.protocol, arm.arm) for run in self.runs for arm in run.arms))


def make_plan(study: Study, inputs: StudyInputs) -> Plan:
    """Plan a study. What it asks for twice, as by places that overlap, is made and counted once.

    Raises:
        ConfigurationError: a site, feature or strength that cannot be used, or different runs that
            the table would take for one.
    """
    _check(study, inputs)
    planner = _Planner(study, inputs)
    merged: dict[str, PlannedRun] = {}
    for run in planner.runs():
        known = merged.setdefault(run.run_id, run)
        arms = tuple(dict.fromkeys(known.arms + run.arms))
        merged[run.run_id] = replace(known, arms=arms, filmed=known.filmed or run.filmed)
    _check_names(merged.values())
    if inputs.compiled:
        check_slots([run.settings for run in merged.values()])
    return Plan(study, tuple(merged.values()))


@dataclass(frozen=True)
class _Start:
    """An episode to start: which task, from where, in which round."""

    pair: Pair
    task: TaskSpec
    instruction: str
    round: int


class _Planner:
    def __init__(self, study: Study, inputs: StudyInputs) -> None:
        self._study, self._inputs = study, inputs
        self._execute_steps = executed_steps(
            inputs.chunk_length, study.execute_steps, "`execute_steps`"
        )
        self._taps = {site: (site, bundle.bundle_id) for site, bundle in inputs.bundles.items()}
        self._traced = self._studied_features()
        self._starts = sorted(self._all_starts(), key=lambda start: start.round)
        donating = list(self._donating())
        self._donor_pairs = [[start.pair for start in starts] for starts in donating]
        self._donors = {
            start.pair: self._observed(start, self._execute_steps)
            for starts in donating
            for start in starts
        }

    def runs(self) -> Iterator[PlannedRun]:
        protocols = self._study.protocols
        sources: tuple[str, ...] = ()
        if {"P1", "P5"} & set(protocols):
            observing = list(self._observing())
            sources = tuple(run.run_id for run in observing)
            yield from observing
        yield from self._donors.values()
        for protocol in ("P5", "P1"):
            if protocol in protocols:
                yield from self._looking(protocol, sources)
        played = [protocol for protocol in EPISODES if protocol in protocols]
        arms = [arm for protocol in played for arm in self._arms(protocol)]
        for start in self._starts if arms else ():
            for arm in arms:
                yield self._rollout(start, arm)

    def _arms(self, protocol: str) -> Iterator[Arm]:
        study, bundles = self._study, self._inputs.bundles
        if protocol == "P3":
            yield from necessity_arms(study, bundles)
        elif protocol == "P4":
            yield from layer_arms(study, tuple(self._inputs.sites))
        else:
            steered = steered_arms(study, protocol, bundles, self._inputs.mean_differences)
            if protocol == "P5":
                yield from latency_arms(steered)
            else:
                yield from baseline_arms(study, protocol)
                yield from steered
                if protocol == "P2":
                    yield from injection_arms(study, self._donor_pairs)

    def _rollout(self, start: _Start, arm: Arm) -> PlannedRun:
        study = self._study
        settings = RunSettings(
            "rollout",
            self._inputs.policy_id,
            start.pair,
            arm.instruction or start.instruction,
            (start.pair.seed + arm.noise,),
            self._limit(start),
            self._execute_steps,
            study.cap,
            render_quality=self._inputs.render_quality,
            policy_batch=self._inputs.policy_batch if arm.injection is None else 1,
            names=self._inputs.names,
            compiled=self._inputs.compiled,
            unnorm_key=self._inputs.unnorm_key,
            injection=arm.injection,
            sources=() if arm.injection is None else (self._donors[arm.injection.donor].run_id,),
            **self._hooks(arm),
        )
        filmed = arm.arm in study.keep.videos and start.round < study.keep.pairs
        return PlannedRun(settings.run_id, settings, start.task, (arm,), filmed)

    def _observing(self) -> Iterator[PlannedRun]:
        """Yield the plain rollouts whose observations are looked at, enough for the count."""
        wanted, expected = self._study.observations, 0
        for start in self._starts:
            if expected >= wanted.count:
                return
            # A success ends an episode early: only half of its length is counted on.
            expected += max(1, self._limit(start) // wanted.every // 2)
            yield self._observed(start, wanted.every)

    def _donating(self) -> Iterator[list[_Start]]:
        """Yield the episodes whose streams are played into others, entry by entry."""
        for wanted, found in zip(self._study.injection, self._inputs.donors, strict=True):
            starts = []
            for donor, (named, init_state) in zip(wanted.donors, found, strict=True):
                pair = Pair(_place(named.task), named.name, init_state, donor.seed)
                starts.append(_Start(pair, named.task, named.task.instruction, 0))
            yield starts

    def _observed(self, start: _Start, every: int) -> PlannedRun:
        """Return the plain rollout of which every so many control steps are kept."""
        settings = RunSettings(
            "observations",
            self._inputs.policy_id,
            start.pair,
            start.instruction,
            (start.pair.seed,),
            self._limit(start),
            self._execute_steps,
            self._study.cap,
            every=every,
            render_quality=self._inputs.render_quality,
            policy_batch=self._inputs.policy_batch,
            names=self._inputs.names,
            compiled=self._inputs.compiled,
            unnorm_key=self._inputs.unnorm_key,
        )
        return PlannedRun(settings.run_id, settings, start.task, ())

    def _limit(self, start: _Start) -> int:
        """Return how many control steps an episode has at most."""
        return step_limit(start.task, self._study.max_steps)

    def _looking(self, protocol: str, sources: tuple[str, ...]) -> Iterator[PlannedRun]:
        study, count = self._study, self._study.observations.count
        kind, steps = ("open_loop", count) if protocol == "P1" else ("latency", study.latency)
        for arm in self._arms(protocol):
            seeds = tuple(one + arm.noise for one in study.observations.noise_seeds)
            settings = RunSettings(
                kind,
                self._inputs.policy_id,
                None,
                arm.instruction,
                seeds,
                steps,
                self._execute_steps,
                study.cap,
                sources=sources,
                render_quality=self._inputs.render_quality,
                policy_batch=self._inputs.policy_batch if kind == "open_loop" else 1,
                names=self._inputs.names,
                compiled=self._inputs.compiled,
                unnorm_key=self._inputs.unnorm_key,
                **self._hooks(arm),
            )
            yield PlannedRun(settings.run_id, settings, None, (arm,))

    def _hooks(self, arm: Arm) -> dict[str, Any]:
        """Return what an arm hooks onto the policy, and what is written down of it."""
        if arm.hooked:
            return {"taps": tuple(self._taps.values()), "traced": self._traced}
        sites = {change.site for change in arm.changes if change.unit != "token_norm"}
        traced = [(arm.changes[0].site, feature) for feature in arm.features]
        for site, feature in arm.window.features_read:
            sites.add(site)
            traced.append((site, feature))
        return {
            "changes": arm.changes,
            "taps": tuple(tap for site, tap in self._taps.items() if site in sites),
            "traced": tuple(dict.fromkeys(traced)),
            "window": arm.window,
        }

    def _studied_features(self) -> tuple[tuple[str, int], ...]:
        found: dict[tuple[str, int], None] = {}
        for features in self._study.features:
            bundle = self._inputs.bundles[features.site]
            for one in chosen(features, bundle, self._study.controls.seed):
                found[features.site, one] = None
        return tuple(found)

    def _all_starts(self) -> Iterator[_Start]:
        task_sets = zip(
            self._study.places, self._inputs.tasks, self._inputs.init_states, strict=True
        )
        for task_set, tasks, states in task_sets:
            for named in tasks:
                for number in range(task_set.rollouts):
                    pair = Pair(
                        _place(named.task),
                        named.name,
                        states[number % len(states)],
                        task_set.first_seed + number,
                        task_set.move,
                        task_set.exchange,
                    )
                    yield _Start(pair, named.task, _told(task_set, named.task), number)


def _place(task: TaskSpec) -> str:
    """Return where a task is from: its suite, with its environment where that is not LIBERO."""
    return task.suite if task.env == LIBERO else f"{task.env} {task.suite}"


def _told(task_set: TaskSet, task: TaskSpec) -> str:
    return task_set.instruction or task.instruction


def _check(study: Study, inputs: StudyInputs) -> None:
    """Refuse what cannot be steered before anything runs."""
    used = {features.site for features in study.features}
    used |= {study.necessity.site} if study.necessity else set()
    for site in sorted(used):
        if site not in inputs.bundles:
            allowed = ", ".join(sorted(inputs.bundles)) or "none: name bundles"
            raise ConfigurationError(complaint("site without an SAE", site, allowed))
        place = inputs.sites[policy_site(site)]
        if not place.can_steer:
            why = place.why_not
            allowed = ", ".join(name for name, one in inputs.sites.items() if one.can_steer)
            raise ConfigurationError(
                complaint(f"site that cannot be steered ({why})", site, allowed)
            )
    if inputs.compiled:
        check_compiled(study)
    for injection in study.injection:
        _check_injection(injection, inputs)
    for window in study.windows:
        for name, one in (("when", window.when), ("control", window.control)):
            if one is not None:
                _check_reading(name, one, inputs)
    for site in study.layers.sites:
        if site not in inputs.sites:
            raise ConfigurationError(complaint("`layers.sites`", site, ", ".join(inputs.sites)))
    _check_strengths(study, inputs)


def _check_names(runs: Iterable[PlannedRun]) -> None:
    """Refuse two runs with the same arm and pair: a row's plain twin is found by these."""
    seen: set[tuple[str, str, str]] = set()
    for run in runs:
        pair = run.settings.pair.text if run.settings.pair else "observations"
        for arm in run.arms:
            if (name := (arm.protocol, arm.name, pair)) in seen:
                raise ConfigurationError(
                    complaint(
                        "runs of one arm from the same start",
                        f"two different ones of {' '.join(name)}",
                        "one",
                        "Places that tell different instructions need different first_seeds, and "
                        "strengths have to differ in their first six digits.",
                    )
                )
            seen.add(name)


def _check_injection(injection: InjectionArms, inputs: StudyInputs) -> None:
    """Refuse a site or a group of tokens that cannot be replaced."""
    for name in injection.sites:
        site = inputs.sites.get(name)
        if site is None or not site.can_steer:
            why = "" if site is None else f" ({site.why_not})"
            allowed = ", ".join(name for name, one in inputs.sites.items() if one.can_steer)
            raise ConfigurationError(complaint(f"site of `injection`{why}", name, allowed))
        unknown = sorted(set(injection.tokens) - set(site.token_groups))
        if unknown:
            allowed = ", ".join(site.token_groups)
            raise ConfigurationError(complaint(f"`injection.tokens` at {name}", unknown, allowed))


def _check_reading(of: str, one: Condition | Control, inputs: StudyInputs) -> None:
    """Refuse a condition or a controller whose reading nobody gives in these runs."""
    if one.reading not in inputs.readings:
        allowed = ", ".join(sorted(inputs.readings))
        raise ConfigurationError(
            complaint(f"reading of `{of}` not known here", one.reading, allowed)
        )
    if one.reading != FEATURE:
        return
    if one.site not in inputs.bundles:
        allowed = ", ".join(sorted(inputs.bundles)) or "none: name bundles"
        raise ConfigurationError(complaint(f"site of `{of}` without an SAE", one.site, allowed))
    size = inputs.bundles[one.site].sae.dictionary_size
    if not 0 <= one.feature < size:
        raise ConfigurationError(
            complaint(f"feature of `{of}` at {one.site}", one.feature, f"0 to {size - 1}")
        )


def _check_strengths(study: Study, inputs: StudyInputs) -> None:
    for features in study.features:
        bundle = inputs.bundles[features.site]
        for changes in study.changes:
            if changes.mode in ("scale", "project_out"):
                continue
            if changes.unit == "residual_norm":
                if not bundle.residual_norm_activation > 0:
                    raise ConfigurationError(
                        complaint(
                            "unit residual_norm",
                            f"the SAE of {features.site} came without data",
                            "observed_max",
                            "Convert it with --activations.",
                        )
                    )
                continue
            silent = [
                one
                for one in chosen(features, bundle, study.controls.seed)
                if not bundle.observed_max[one] > 0
            ]
            if silent:
                raise ConfigurationError(
                    complaint(
                        f"features of {features.site} without an observed maximum",
                        silent,
                        "unit residual_norm for these",
                    )
                )
