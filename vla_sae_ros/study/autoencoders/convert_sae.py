"""`vla-sae convert`: somebody else's SAE checkpoint into a bundle that the policy node serves."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from rich.table import Table

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.terminal import plain_console
from vla_sae_ros.policy.families.registry import adapter_of
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.policy.load_options import add_load_arguments, load_options
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.sae import SaeBundle, SparseAutoencoder, TopKSAE, load
from vla_sae_ros.sae.bundle import POOLINGS, refuse_existing
from vla_sae_ros.sae.kinds.sparse_autoencoder import LISTED_FEATURES
from vla_sae_ros.sae.training.metrics import sink_words
from vla_sae_ros.study.autoencoders.foreign_bundle import SaeOrigin, bundle_at, measured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `convert`."""
    parser.add_argument(
        "checkpoint",
        type=Path,
        help="SAE folder of SAELens, sparsify, dictionary_learning, Dr.VLA or Action Atlas",
    )
    parser.add_argument(
        "--policy", required=True, help="policy it was trained on: folder, or owner/name on the hub"
    )
    add_load_arguments(parser)
    parser.add_argument("--site", required=True, help="site it was trained on, e.g. backbone.5")
    parser.add_argument("--output", type=Path, required=True, help="bundle folder to make")
    parser.add_argument(
        "--pooling",
        choices=POOLINGS,
        help="mean: the SAE reads one vector per inference; token: it reads each "
        "token; checkpoints do not record this; default: the pooling of the "
        "--activations",
    )
    parser.add_argument(
        "--token-groups",
        nargs="+",
        help="token groups that the SAE reads; default: those of the --activations, "
        "or all of the site",
    )
    parser.add_argument(
        "--activations",
        type=Path,
        help="folder of `vla-sae collect`, to measure observed maxima, residual norm, FVU and L0",
    )
    parser.add_argument(
        "--max-fvu",
        type=float,
        default=1.0,
        help="refuse an SAE whose FVU on the --activations is larger; default %(default)s",
    )
    parser.add_argument(
        "--listed-features",
        type=int,
        help="maximum number of features published per sample, for kinds without a fixed number of "
        f"active features; default {LISTED_FEATURES}",
    )
    parser.add_argument(
        "--drop-negative-codes",
        action="store_true",
        help="read the negative codes of an Action Atlas SAE as 0",
    )


def run(args: argparse.Namespace) -> int:
    """Make the bundle as `args` say, read it back and print what is known about it."""
    refuse_existing(args.output)
    sae = load(args.checkpoint, drop_negative_codes=args.drop_negative_codes)
    if args.listed_features is not None:
        _list(sae, args.listed_features)
    dataset = None if args.activations is None else ActivationDataset.open(args.activations)
    bundle = bundle_at(sae, _origin(args, dataset), args.checkpoint)
    if dataset is not None:
        bundle = measured(bundle, dataset, args.max_fvu)
    bundle.save(args.output)
    check_round_trip(bundle, args.output)
    plain_console().print(summary(bundle))
    print(f"{args.output}: reads back with bit-identical codes.")
    for line in unknowns(bundle):
        print(line)
    return 0


def check_round_trip(bundle: SaeBundle, folder: Path) -> None:
    """Raise RuntimeError unless the saved bundle has this id and gives the same codes."""
    again = SaeBundle.load(folder)
    x = torch.randn(64, bundle.card.d_in, generator=torch.Generator().manual_seed(0))
    same = torch.equal(again.sae.encode(x), bundle.sae.encode(x))
    if not same or again.bundle_id != bundle.bundle_id:
        raise RuntimeError(f"{folder} does not read back as it was written: do not use it.")


def summary(bundle: SaeBundle) -> Table:
    """Return a table for a person: what the SAE is, where it belongs, how good it is there."""
    card, sae, metrics = bundle.card, bundle.sae, bundle.card.metrics
    norm = sae.W_dec.norm(dim=1)
    table = Table("", "", title=f"SAE bundle {bundle.bundle_id}", show_header=False)
    rows = {
        "from": f"{card.data['converted_from']['format']} {card.data['converted_from']['folder']}",
        "kind": f"{sae.architecture}, {_active(sae)}, normalisation {sae.normalization}",
        "features": f"{sae.dictionary_size} of width {sae.d_in}, "
        f"decoder rows of length {float(norm.min()):.3g} to {float(norm.max()):.3g}",
        "at": f"{card.site} of {card.policy_name} ({card.policy_id})",
        "reads": f"{card.pooling} over {', '.join(card.token_groups)}",
    }
    if metrics:
        rows["FVU"] = f"{metrics['fvu']:.4f}"
        rows |= {"attention sinks": words} if (words := sink_words(metrics)) else {}
        rows["L0"] = f"{metrics['l0']:.1f}"
        rows["dead"] = f"{metrics['dead_share']:.1%} of the features"
        rows["mean ||x||"] = f"{card.mean_residual_norm:.4g}"
        rows["measured on"] = (
            f"{card.data['measured_on']['samples']} samples of "
            f"{card.data['measured_on']['episodes']} episodes"
        )
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def unknowns(bundle: SaeBundle) -> list[str]:
    """Return what the checkpoint could not tell, and what does not work without it."""
    if not math.isnan(bundle.card.mean_residual_norm):
        return []
    return [
        "Unknown: the features' observed maxima, the mean residual norm, and whether the SAE "
        "fits this site at all.",
        "Edits in units of these are refused; natural units work. Collect activations "
        "(vla-sae collect) and convert with --activations to measure them.",
    ]


def _active(sae: SparseAutoencoder) -> str:
    if isinstance(sae, TopKSAE):
        return f"{sae.k} active"
    return f"any number active, {sae.k} listed"


def _list(sae: SparseAutoencoder, count: int) -> None:
    if isinstance(sae, TopKSAE):
        raise ConfigurationError(
            f"--listed-features is for SAEs in which any number of features may be active; this "
            f"one is TopK and lists its k = {sae.k}. Leave the option out."
        )
    if not 1 <= count <= sae.dictionary_size:
        raise ConfigurationError(
            complaint("--listed-features", count, f"1 to {sae.dictionary_size}")
        )
    sae.k = count


def _origin(args: argparse.Namespace, dataset: ActivationDataset | None) -> SaeOrigin:
    collected = None if dataset is None else dataset.collection.sites.get(args.site)
    pooling, groups = args.pooling, args.token_groups
    if collected is not None:
        pooling, groups = pooling or collected.pooling, groups or collected.token_groups
    if pooling is None:
        raise ConfigurationError(
            "--pooling is missing, and checkpoints do not record it: mean or token? Most SAEs read "
            "single tokens; those of Dr.VLA read the mean over the tokens of an inference. With "
            "--activations it may be left out."
        )
    if args.pooling is None:
        print(f"--pooling {pooling}, as the activations in {args.activations} were collected.")
    loaded = load_policy(args.policy, options=load_options(args))
    sites = adapter_of(loaded).sites
    return SaeOrigin(
        loaded.policy_id,
        loaded.name,
        _site(args.site, list(sites.values())),
        pooling,
        tuple(groups or ()),
    )


def _site(name: str, sites: list[Site]) -> Site:
    for site in sites:
        if site.name == name:
            return site
    raise ConfigurationError(
        complaint("--site of this policy", name, [f"{one.name} ({one.width})" for one in sites])
    )
