"""`vla-sae substitute`: what a policy still does with a bundle's reconstruction in its stream."""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_sae_ros.core.parameters import MAP_HELP
from vla_sae_ros.policy.checkpoints.feature_match import read_map
from vla_sae_ros.policy.load_options import add_load_arguments, load_options
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.resources import resource
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.autoencoders.substitution import (
    in_libero,
    substitution_trials,
    with_effect,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `substitute`."""
    parser.add_argument(
        "bundle", type=Path, help="bundle folder; the results are added to its card"
    )
    parser.add_argument(
        "--env", default="libero_object", metavar="SUITE", help="LIBERO suite; default %(default)s"
    )
    parser.add_argument("--env-tasks", default="0", help='tasks: "all", "0,6" or "0:butter_1"')
    parser.add_argument(
        "--env-episodes", type=int, default=10, help="episodes per task; init states 40-49"
    )
    parser.add_argument("--policy", type=Path, help="policy; default: the demonstration policy")
    parser.add_argument("--map", default="", metavar="OFFERED=POLICY,...", help=MAP_HELP)
    add_load_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, and write the numbers into the bundle's card; return the exit status."""
    names = read_map(args.map)
    bundle = SaeBundle.load(args.bundle)
    trials = substitution_trials(args.env, args.env_tasks, args.env_episodes)
    folder = args.policy or resource("models", "demo", "policy")
    loaded = load_policy(folder, options=load_options(args))
    effect = in_libero(loaded, bundle, trials, names)
    with_effect(bundle, effect).card.save(args.bundle)
    return 0
