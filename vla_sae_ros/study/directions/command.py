"""`vla-sae direct`: mean differences, probes and conceptors as a bundle that steers like an SAE."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from vla_sae_ros.activations.codes import check_collected_for
from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.terminal import plain_console
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sae.bundle import refuse_existing
from vla_sae_ros.study.directions.bundle_making import (
    Fitted,
    Wish,
    directions_bundle,
    fit_directions,
)
from vla_sae_ros.study.directions.targets import Parts
from vla_sae_ros.study.features.split_variables import with_variables


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `direct`."""
    parser.add_argument("activations", type=Path, help="folder of collected activations")
    parser.add_argument("--out", type=Path, required=True, help="bundle folder to make")
    parser.add_argument("--site", help="site to read; may be left out when there is only one")
    parser.add_argument(
        "--mean-difference",
        action="append",
        default=[],
        metavar="TARGET",
        help='success, a state variable, or "A - B", e.g. "object butter_1 - object milk_1"; of a '
        "number: how the mean activation changes with it; repeatable, like the next two options",
    )
    parser.add_argument(
        "--probe",
        action="append",
        default=[],
        metavar="TARGET",
        help='a linear probe: success or any state variable, e.g. "gripper closing"',
    )
    parser.add_argument(
        "--conceptor",
        action="append",
        default=[],
        metavar="TARGET",
        help="the leading rows of the steps at which a variable of two values is 1",
    )
    parser.add_argument(
        "--rank", type=int, default=3, help="rows of each conceptor; default %(default)s"
    )
    parser.add_argument(
        "--sae", type=Path, help="bundle of the same site, whose best single feature is scored too"
    )
    parser.add_argument(
        "--held-out", type=float, default=0.3, help="share of episodes; default %(default)s"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the division into parts")


def run(args: argparse.Namespace) -> int:
    """Fit, score, write the bundle and print a table; return the exit status."""
    refuse_existing(args.out)
    if args.seed < 0:
        raise ConfigurationError(complaint("--seed", args.seed, "0 or more"))
    wishes = [Wish(kind, name) for kind, name in _given(args)]
    if not wishes:
        raise ConfigurationError(
            complaint(
                "directions asked for",
                0,
                "at least one",
                "Give --mean-difference, --probe or --conceptor.",
            )
        )
    dataset = ActivationDataset.open(args.activations)
    site = _one_site(dataset, args.site)
    width = dataset.collection.sites[site].width
    if not 1 <= args.rank <= width:
        raise ConfigurationError(complaint("--rank", args.rank, f"1 to {width}"))
    sae = _sae(args.sae, dataset, site)
    parts = divided(dataset, site, args.held_out, args.seed)
    fitted = fit_directions(wishes, parts, sae, args.rank, args.seed)
    data = {
        "training_samples": len(parts.training.data.steps),
        "held_out_samples": len(parts.held_out.data.steps),
        "training_episodes": len(parts.training_episodes),
        "held_out_episodes": [one.episode_id for one in parts.held_out_episodes],
        "seed": args.seed,
    }
    bundle = directions_bundle(fitted, parts, dataset, site, data)
    bundle.save(args.out)
    plain_console().print(_table(bundle, fitted))
    print(
        f"directions {bundle.bundle_id} of {bundle.card.policy_name} {site}: {args.out}\n"
        f"They are read and edited as site {bundle.card.site}, beside an SAE of {site}."
    )
    return 0


def divided(dataset: ActivationDataset, site: str, held_out: float, seed: int) -> Parts:
    """Return the episodes in two parts, with their activations at the site."""
    training, rest = dataset.split(held_out, seed)
    variables = with_variables(
        dataset.load(site, training),
        dataset.load(site, rest),
        dataset.collection.control_rate,
        dataset.collection.state_names,
    )
    return Parts(training, rest, *variables)


def _given(args: argparse.Namespace) -> Sequence[tuple[str, str]]:
    lists = {
        "mean difference": args.mean_difference,
        "probe": args.probe,
        "conceptor": args.conceptor,
    }
    return [(kind, name) for kind, names in lists.items() for name in names]


def _one_site(dataset: ActivationDataset, given: str | None) -> str:
    sites = sorted(dataset.collection.sites)
    if given is None and len(sites) == 1:
        return sites[0]
    if given not in sites:
        raise ConfigurationError(complaint(f"--site for {dataset.folder}", given, sites))
    return given


def _sae(folder: Path | None, dataset: ActivationDataset, site: str) -> SaeBundle | None:
    if folder is None:
        return None
    sae = SaeBundle.load(folder)
    if sae.card.site != site:
        raise ConfigurationError(complaint("site of --sae", sae.card.site, repr(site)))
    check_collected_for(sae, dataset)
    return sae


def _table(bundle: SaeBundle, fitted: Sequence[Fitted]) -> Table:
    table = Table(title=f"{bundle.card.site}: scores on held-out episodes")
    table.add_column("#", justify="right")
    table.add_column("direction")
    for name in ("measure", "score", "shuffled", "95 % below", "best SAE feature"):
        table.add_column(name, justify="right")
    for number, one in enumerate(fitted):
        found = one.evidence
        best = found.feature
        table.add_row(
            str(number),
            escape(one.name),
            found.measure,
            f"{found.score:.3f}",
            f"{found.shuffled_mean:.3f}",
            f"{found.shuffled_95:.3f}",
            f"{best.score:.3f} (#{best.feature})" if best else "-",
        )
    return table
