"""Measuring in LIBERO what a policy does with reconstructions in its residual stream."""

from __future__ import annotations

from pathlib import Path

from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sim.environment import Layout
from vla_sae_ros.sim.libero import LiberoEnvironment
from vla_sae_ros.study.substitution_effect import SubstitutionEffect, substitution_effect
from vla_sae_ros.study.trials import parse_tasks, plan_trials

EVALUATION_INIT_STATES = range(40, 50)


def substitution_in_libero(
    bundle: SaeBundle, policy: Path, suite: str, tasks: str, episodes: int
) -> SubstitutionEffect:
    """Run `episodes` of each task ("all" or "0,6") on held-out initial states, twice.

    Raises:
        ConfigurationError: no such suite, task or policy, or a bundle that does not fit it.
    """
    trials = plan_trials(parse_tasks(suite, tasks), EVALUATION_INIT_STATES, episodes, Layout())
    loaded = load_policy(policy)
    environment = LiberoEnvironment()
    try:
        return substitution_effect(loaded, bundle, environment, trials)
    finally:
        environment.close()
