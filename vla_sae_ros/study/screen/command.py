"""`vla-sae screen`: every feature and direction of a site, by what it does to the next actions."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rich.progress import track

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.terminal import plain_console
from vla_sae_ros.policy.load_options import add_load_arguments, load_options
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.resources import resource
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.screen.effects import NAMES, screen_effect
from vla_sae_ros.study.screen.observations import Looked, stored_observations
from vla_sae_ros.study.screen.report import table, words, write_screen, write_study
from vla_sae_ros.study.screen.screening import checked, screened, to_check

LARGEST_DOSE = 5.0
CHECKED_OBSERVATIONS = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `screen`."""
    parser.add_argument(
        "bundles", type=Path, nargs="+", help="SAE bundles and bundles of directions"
    )
    parser.add_argument(
        "--activations",
        type=Path,
        required=True,
        help="folder of activations collected with the bundles' policy and --keep-observations",
    )
    parser.add_argument("--effect", required=True, help=f"one of {', '.join(NAMES)}")
    parser.add_argument(
        "--observations", type=int, default=200, help="how many; default %(default)s"
    )
    parser.add_argument(
        "--check",
        type=int,
        default=12,
        metavar="N",
        help="number of features of each bundle whose edits are also run; 0: none; "
        "default %(default)s",
    )
    parser.add_argument(
        "--dose",
        type=float,
        default=0.02,
        help="strength of those edits, in mean residual norms; default %(default)s",
    )
    parser.add_argument(
        "--top", type=int, default=10, help="number of features to show; default %(default)s"
    )
    parser.add_argument("--policy", type=Path, help="default: the demonstration policy")
    add_load_arguments(parser)
    parser.add_argument("--device", default="cpu", help="torch device; default %(default)s")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed for the random rows and the check"
    )
    parser.add_argument("--out", type=Path, help="folder for the table of all features")
    parser.add_argument("--study", type=Path, help="write a study file with the strongest features")


def run(args: argparse.Namespace) -> int:
    """Screen, check, print and write; return the exit status."""
    _check(args)
    effect = screen_effect(args.effect)
    bundles = [SaeBundle.load(folder, args.device) for folder in args.bundles]
    for bundle in bundles:
        _require_norm(bundle)
    dataset = ActivationDataset.open(args.activations)
    looked = stored_observations(dataset, effect, args.observations)
    folder = args.policy or resource("models/demo/policy")
    loaded = load_policy(folder, args.device, load_options(args))
    screens = screened(loaded, bundles, looked, args.seed, _tracked("differentiating"))
    some = range(0, len(looked), max(1, len(looked) // CHECKED_OBSERVATIONS))
    some = some[:CHECKED_OBSERVATIONS]
    checks = [
        checked(
            loaded,
            one,
            looked,
            some,
            to_check(one, args.check, args.seed),
            args.dose,
            _tracked(f"editing {one.bundle.card.site}"),
        )
        if args.check
        else None
        for one in screens
    ]
    console = plain_console()
    for one, check in zip(screens, checks, strict=True):
        console.print(table(one, effect, args.top))
        print("\n".join(words(one, check)))
    episodes = len({one.episode for one in looked})
    facts = {"observations": len(looked), "episodes": episodes, "seed": args.seed}
    if args.out is not None:
        write_screen(args.out, effect, screens, checks, facts)
        print(f"every feature: {args.out}")
    if args.study is not None:
        suites = sorted({one.task.split()[0] for one in dataset.episodes if one.task})
        write_study(args.study, effect, screens, args.top, args.dose, suites or ["libero_object"])
        print(f"closed loop: vla-sae evaluate {args.study}")
    return 0


def _tracked(what: str) -> Callable[[Sequence[Looked]], Iterable[Looked]]:
    def over(looked: Sequence[Looked]) -> Iterable[Looked]:
        return track(looked, what, console=plain_console(stderr=True), transient=True)

    return over


def _check(args: argparse.Namespace) -> None:
    for name, lowest in (("observations", 1), ("check", 0), ("top", 1), ("seed", 0)):
        if getattr(args, name) < lowest:
            raise ConfigurationError(
                complaint(f"--{name}", getattr(args, name), f"{lowest} or more")
            )
    if not 0.0 < args.dose <= LARGEST_DOSE:
        raise ConfigurationError(complaint("--dose", args.dose, f"above 0, to {LARGEST_DOSE:g}"))


def _require_norm(bundle: SaeBundle) -> None:
    if math.isnan(bundle.residual_norm_activation):
        raise ConfigurationError(
            complaint(
                f"mean residual norm of {bundle.card.site}",
                "unknown: the SAE came without data",
                "a number",
                "Convert it with --activations.",
            )
        )
