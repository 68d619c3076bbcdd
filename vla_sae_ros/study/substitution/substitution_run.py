"""Measuring in LIBERO what a policy does with reconstructions in its residual stream."""

from __future__ import annotations

from collections.abc import Sequence

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sim.environment import Layout
from vla_sae_ros.sim.libero import LiberoEnvironment
from vla_sae_ros.study.rollouts.trials import Trial, parse_tasks, plan_trials
from vla_sae_ros.study.substitution.in_libero import SubstitutionEffect, substitution_effect

EVALUATION_INIT_STATES = range(40, 50)


def substitution_trials(suite: str, tasks: str, episodes: int) -> list[Trial]:
    """Return `episodes` of each task ("all", "0,6" or "0:butter_1") on held-out initial states.

    Raises:
        ConfigurationError: no such suite or task, or no episode.
    """
    if episodes < 1:
        raise ConfigurationError(complaint("--env-episodes", episodes, "1 or more"))
    return plan_trials(parse_tasks(suite, tasks), EVALUATION_INIT_STATES, episodes, Layout())


def substitution_in_libero(
    bundle: SaeBundle, loaded: LoadedPolicy, trials: Sequence[Trial]
) -> SubstitutionEffect:
    """Run every trial plain and with reconstructions.

    Raises:
        ConfigurationError: the bundle does not fit the policy.
    """
    environment = LiberoEnvironment()
    try:
        return substitution_effect(loaded, bundle, environment, trials)
    finally:
        environment.close()
