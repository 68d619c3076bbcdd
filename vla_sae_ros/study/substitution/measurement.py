"""What `vla-sae train-sae` measures of an SAE's effect on actions, once it is trained."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.resources import resource
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.substitution.action_error import ActionError, action_error, kept_moments
from vla_sae_ros.study.substitution.in_libero import SubstitutionEffect

Measure = Callable[[SaeBundle], SaeBundle]
"""Returns the bundle with more metrics."""


def measurement(args: argparse.Namespace, dataset: ActivationDataset, seed: int) -> Measure:
    """Return what the arguments ask for; what cannot be measured is refused before the training.

    Raises:
        ConfigurationError: no kept observation of a held-out episode, no such suite or task, or
            another policy than the one that the activations are of.
    """
    return _in_libero(args, dataset) if args.env else _on_observations(args, dataset, seed)


def _on_observations(args: argparse.Namespace, dataset: ActivationDataset, seed: int) -> Measure:
    _, held_out = dataset.split(args.held_out, seed)
    moments = kept_moments(dataset, held_out, args.action_error)
    loaded = _own_policy(args, dataset)
    return lambda bundle: with_effect(bundle, action_error(loaded, bundle, dataset, moments))


def _in_libero(args: argparse.Namespace, dataset: ActivationDataset) -> Measure:
    # The only place of the training that needs a simulator.
    from vla_sae_ros.study.substitution.substitution_run import (
        substitution_in_libero,
        substitution_trials,
    )

    trials = substitution_trials(args.env, args.env_tasks, args.env_episodes)
    loaded = _own_policy(args, dataset)
    return lambda bundle: with_effect(bundle, substitution_in_libero(bundle, loaded, trials))


def _own_policy(args: argparse.Namespace, dataset: ActivationDataset) -> LoadedPolicy:
    """Load the policy that the activations are of."""
    loaded = load_policy(args.policy or resource("models", "demo", "policy"))
    if loaded.policy_id != dataset.collection.policy_id:
        allowed = f"{dataset.collection.policy_id!r}, of which the activations are"
        next_step = "Give the policy with --policy."
        raise ConfigurationError(complaint("policy id", loaded.policy_id, allowed, next_step))
    return loaded


def with_effect(bundle: SaeBundle, effect: ActionError | SubstitutionEffect) -> SaeBundle:
    """Print the effect and return the bundle with its numbers among the metrics."""
    print(effect.in_words())
    card = replace(bundle.card, metrics={**bundle.card.metrics, **effect.as_metrics()})
    return replace(bundle, card=card)
