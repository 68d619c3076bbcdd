"""`vla-sae train-sae`: from a folder of collected activations to an SAE bundle, in one call."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.core.errors import ConfigurationError, VlaSaeError, complaint
from vla_sae_ros.core.parameters import MAP_HELP
from vla_sae_ros.policy.load_options import add_load_arguments
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sae.bundle import refuse_existing
from vla_sae_ros.sae.kinds.normalization import NORMALIZATIONS
from vla_sae_ros.sae.objectives.choice import check_start
from vla_sae_ros.sae.objectives.training_settings import KINDS, TrainingSettings
from vla_sae_ros.sae.training.metrics import sink_words
from vla_sae_ros.sae.training.processes import joined_processes, own_device
from vla_sae_ros.study.autoencoders.bundle_training import CHECKPOINT_FILE, SAME_ROW, train_bundle
from vla_sae_ros.study.autoencoders.training_log import read_curve
from vla_sae_ros.study.autoencoders.training_picture import write_training_picture

DEFAULT_EXPANSION = 4
OF_THE_SAE = ("dictionary_size", "kind", "k", "sparsity", "normalization")
"""Settings that an SAE has in common with the one that it starts from."""
PICTURE_FILE = "training.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `train-sae`."""
    defaults = TrainingSettings(dictionary_size=32)
    parser.add_argument("activations", type=Path, help="folder of collected activations")
    parser.add_argument("--out", type=Path, required=True, help="bundle folder to make")
    parser.add_argument("--site", help="site to train on; may be left out when there is only one")
    parser.add_argument(
        "--start-from",
        type=Path,
        metavar="BUNDLE",
        help="bundle of another policy at the same site, e.g. of the one before a fine-tune; "
        "training begins at its weights, so that features that are still there keep their numbers",
    )
    parser.add_argument("--kind", choices=KINDS, help=f"default {defaults.kind}")
    parser.add_argument(
        "--dictionary-size",
        type=int,
        help=f"number of features; default {DEFAULT_EXPANSION} times the width",
    )
    parser.add_argument("--k", type=int, help=f"active features; default {defaults.k}")
    parser.add_argument(
        "--sparsity",
        type=float,
        help="weight of the sparsity penalty of jumprelu and relu; default: that of the kind",
    )
    parser.add_argument(
        "--normalization", choices=NORMALIZATIONS, help=f"default {defaults.normalization}"
    )
    parser.add_argument("--batch-size", type=int, default=defaults.batch_size)
    parser.add_argument(
        "--epochs",
        type=int,
        help="passes over the activations; default: about 4 million samples in all",
    )
    parser.add_argument("--learning-rate", type=float, help="default: by dictionary size")
    parser.add_argument(
        "--dead-after",
        type=int,
        default=defaults.dead_after_steps,
        metavar="STEPS",
        help="number of steps without firing after which a feature counts as dead; "
        "default %(default)s",
    )
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument(
        "--held-out", type=float, default=0.1, help="share of episodes to hold out; default 0.1"
    )
    parser.add_argument("--device", default="cpu", help="torch device; default %(default)s")
    effect = parser.add_mutually_exclusive_group()
    effect.add_argument(
        "--action-error",
        type=int,
        default=0,
        metavar="N",
        help="also measure, on N kept observations of held-out episodes, how much "
        "actions change when the reconstruction replaces the residual stream",
    )
    effect.add_argument(
        "--env",
        metavar="SUITE",
        help="also measure success in this LIBERO suite when the reconstruction "
        "replaces the residual stream",
    )
    parser.add_argument("--env-tasks", default="0", help='tasks of --env: "all" or "0,6"')
    parser.add_argument("--env-episodes", type=int, default=5, help="episodes per task of --env")
    parser.add_argument("--policy", type=Path, help="policy; default: the demonstration policy")
    parser.add_argument(
        "--map", default="", metavar="OFFERED=POLICY,...", help=f"with --env: {MAP_HELP}"
    )
    add_load_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Train one SAE as `args` say, write its bundle and print what came out.

    Started by torchrun, every process computes its part of each batch; the first one writes.
    """
    refuse_existing(args.out)
    dataset = ActivationDataset.open(args.activations)
    site = _one_site(dataset, args.site)
    start = SaeBundle.load(args.start_from) if args.start_from else None
    width = dataset.collection.sites[site].width
    settings = TrainingSettings(
        **(_chosen(args, width) if start is None else _of_the_start(args, start, site)),
        batch_size=args.batch_size,
        epochs=args.epochs,
        learning_rate=args.learning_rate,
        dead_after_steps=args.dead_after,
        seed=args.seed,
    )
    if start is not None:
        check_start(start.sae, settings, width)
    measure = _measurement(args, dataset, settings)
    run_folder = args.out.with_name(args.out.name + "-run")
    device = own_device(args.device)
    with joined_processes(device) as processes:
        bundle = train_bundle(
            dataset, site, settings, args.held_out, device, True, run_folder, processes, start
        )
        if processes.is_first:
            bundle.save(args.out)  # before anything is measured that may fail
            bundle = _measured(args, bundle, measure)
            _finish(args, bundle, run_folder)
    return 0


def _chosen(args: argparse.Namespace, width: int) -> dict[str, Any]:
    """Return what an SAE is like, as `args` say or by default."""
    like: dict[str, Any] = {"dictionary_size": DEFAULT_EXPANSION * width}
    given = {name: getattr(args, name) for name in OF_THE_SAE}
    return like | {name: value for name, value in given.items() if value is not None}


def _of_the_start(args: argparse.Namespace, start: SaeBundle, site: str) -> dict[str, Any]:
    """Return what an SAE is like that starts from another; refuse arguments that differ."""
    trained = start.card.data.get("training")
    if not isinstance(trained, dict) or not set(OF_THE_SAE) <= set(trained):
        raise ConfigurationError(
            complaint(
                f"--start-from {args.start_from}",
                "a bundle that says nothing of its training",
                "one that train-sae made",
                "Train without --start-from instead.",
            )
        )
    for name, got, needed in (
        ("site", start.card.site, site),
        *((name, getattr(args, name), trained[name]) for name in OF_THE_SAE),
    ):
        if got is not None and got != needed:
            raise ConfigurationError(
                complaint(f"{name} with --start-from {args.start_from}", got, repr(needed))
            )
    return {name: trained[name] for name in OF_THE_SAE}


def _measured(
    args: argparse.Namespace, bundle: SaeBundle, measure: Callable[[SaeBundle], SaeBundle]
) -> SaeBundle:
    """Return the bundle with what is measured after training, and write that to its card.

    Raises VlaSaeError when it cannot be measured; the bundle is whole without it.
    """
    try:
        bundle = measure(bundle)
    except VlaSaeError as error:
        raise VlaSaeError(
            f"The bundle {args.out} is trained and saved, but its effect on the policy could not "
            f"be measured: {error}"
        ) from error
    bundle.card.save(args.out)
    return bundle


def _finish(args: argparse.Namespace, bundle: SaeBundle, run_folder: Path) -> None:
    """Draw the training's picture and say what came out."""
    (run_folder / CHECKPOINT_FILE).unlink(missing_ok=True)
    density = np.array([one.density for one in bundle.catalogue.entries])
    card = bundle.card
    write_training_picture(
        run_folder / PICTURE_FILE,
        f"{card.policy_name} {card.site}: {card.dictionary_size} features",
        read_curve(run_folder),
        density,
        card.metrics["fvu"],
        card.data["fvu_by_task"],
    )
    print(summary(bundle, args.out))
    print(f"curve: {run_folder / PICTURE_FILE}; tensorboard --logdir {run_folder}")


def _measurement(
    args: argparse.Namespace, dataset: ActivationDataset, settings: TrainingSettings
) -> Callable[[SaeBundle], SaeBundle]:
    """Return what adds the wanted effect on actions to a bundle's metrics, if one is wanted."""
    if args.action_error < 0:
        raise ConfigurationError(complaint("--action-error", args.action_error, "0 or more"))
    if not args.env and not args.action_error:
        return lambda bundle: bundle
    # Needs the policy or even the simulator, which training alone does not.
    from vla_sae_ros.study.autoencoders.substitution import measurement

    return measurement(args, dataset, settings.seed)


def summary(bundle: SaeBundle, folder: Path) -> str:
    """Return a few lines for a person: how good the SAE is and which features have a name."""
    metrics = bundle.card.metrics
    named = [one for one in bundle.catalogue.entries if one.label]
    lines = [
        f"SAE {bundle.bundle_id} of {bundle.card.policy_name} {bundle.card.site}: {folder}",
        f"held-out FVU {metrics['fvu']:.4f} (training {metrics['fvu_training']:.4f}), "
        f"L0 {metrics['l0']:.1f}, dead {metrics['dead_share']:.1%} "
        f"of {bundle.card.dictionary_size} features",
        *filter(None, [_start_words(bundle), sink_words(metrics)]),
        *(f"  FVU {fvu:.4f}  {task}" for task, fvu in _by_task(bundle).items()),
        f"{len(named)} features named by evidence" + (":" if named else "."),
    ]
    lines += [f"  {one.feature:6d}  {one.label}: {one.description}" for one in named[:10]]
    return "\n".join(lines)


def _start_words(bundle: SaeBundle) -> str:
    """Return what is left of the SAE that training started from; empty without one."""
    start = bundle.card.data.get("started_from")
    if start is None:
        return ""
    return (
        f"started from SAE {start['sae']}: {start['rows_kept']} of {bundle.card.dictionary_size} "
        f"decoder rows point where they did (cosine {SAME_ROW:g} or more; median "
        f"{start['median_cosine']:.2f}). Labels, classes and verdicts are not taken over."
    )


def _by_task(bundle: SaeBundle) -> dict[str, float]:
    """Return the held-out FVU of each instruction; of one alone it says nothing new."""
    by_task: dict[str, float] = bundle.card.data["fvu_by_task"]
    return by_task if len(by_task) > 1 else {}


def _one_site(dataset: ActivationDataset, given: str | None) -> str:
    sites = sorted(dataset.collection.sites)
    if given is None and len(sites) == 1:
        return sites[0]
    if given not in sites:
        raise ConfigurationError(complaint(f"--site for {dataset.folder}", given, sites))
    return given
