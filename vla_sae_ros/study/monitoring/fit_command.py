"""`vla-sae monitor fit`: an alarm with a false-alarm rate that the user names."""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.monitors.card import MonitorCard, ScoreCard
from vla_sae_ros.monitors.monitor import Monitor, refuse_existing
from vla_sae_ros.monitors.scores import BASELINES, MAHALANOBIS, NAMES, PROBE, STILLNESS, TIME
from vla_sae_ros.resources import resource
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.monitoring.episodes import interval_of, monitored_episodes
from vla_sae_ros.study.monitoring.fitting import (
    STILLNESS_WINDOW,
    calibrated,
    fit_scores,
    rate_range,
)
from vla_sae_ros.study.monitoring.parts import Parts, divided


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `monitor fit`."""
    parser.add_argument("activations", type=Path, help="folder of collected activations")
    parser.add_argument("--out", type=Path, required=True, help="folder of the monitor to make")
    parser.add_argument(
        "--site", default="", help="site to read; may be left out with --sae or only one site"
    )
    parser.add_argument(
        "--sae", type=Path, help="bundle of that site; default: the demonstration policy's"
    )
    parser.add_argument(
        "--false-alarms",
        type=float,
        default=0.1,
        metavar="RATE",
        help="share of successful episodes that may raise an alarm; default %(default)s",
    )
    parser.add_argument(
        "--score",
        choices=NAMES,
        default=MAHALANOBIS,
        help="which score raises it; all that can be are fitted; default %(default)s",
    )
    parser.add_argument(
        "--window",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="average the scores over the last so many seconds; default %(default)s: not at all",
    )
    parser.add_argument(
        "--fit",
        type=float,
        default=0.4,
        metavar="SHARE",
        help="of the successful episodes that scores are fitted to; default %(default)s",
    )
    parser.add_argument(
        "--calibration",
        type=float,
        default=0.4,
        metavar="SHARE",
        help="of them that set the thresholds; what is left is for `monitor score`; "
        "default %(default)s",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the division into parts")


def run(args: argparse.Namespace) -> int:
    """Fit, calibrate, write the folder; return the exit status."""
    refuse_existing(args.out)
    if not args.window >= 0.0:
        raise ConfigurationError(complaint("--window", args.window, "0 or more"))
    if args.seed < 0:
        raise ConfigurationError(complaint("--seed", args.seed, "0 or more"))
    dataset = ActivationDataset.open(args.activations)
    sae = load_sae(args.sae, args.site or _only_site(dataset))
    parts = divided(monitored_episodes(dataset, sae), args.fit, args.calibration, args.seed)
    monitor = _monitor(dataset, sae, parts, args)
    monitor.save(args.out)
    print("\n".join([*_words(monitor, parts, args), *_trained_on(sae, dataset)]))
    return 0


def load_sae(folder: Path | None, site: str) -> SaeBundle:
    """Return an SAE of a site, the demonstration policy's without a folder.

    Args:
        folder: of the bundle.
        site: empty: the bundle's own.

    Raises:
        ConfigurationError: no such bundle, one of directions or of another site.
    """
    if folder is None:
        shipped = sorted(path.name for path in resource("models", "demo", "sae").iterdir())
        if site not in shipped:
            raise ConfigurationError(
                complaint("site of the demonstration policy's SAEs", site, shipped, "Give --sae.")
            )
        folder = resource("models", "demo", "sae", site)
    sae = SaeBundle.load(folder)
    if sae.card.kind != "sae":
        raise ConfigurationError(complaint(f"kind of the bundle {folder}", sae.card.kind, "sae"))
    if site and sae.card.site != site:
        raise ConfigurationError(complaint("site of --sae", sae.card.site, repr(site)))
    return sae


def _only_site(dataset: ActivationDataset) -> str:
    sites = sorted(dataset.collection.sites)
    if len(sites) > 1:
        raise ConfigurationError(complaint(f"--site for {dataset.folder}", "", sites))
    return sites[0]


def _monitor(
    dataset: ActivationDataset, sae: SaeBundle, parts: Parts, args: argparse.Namespace
) -> Monitor:
    collection, rate = dataset.collection, dataset.collection.control_rate
    scores = fit_scores(parts, rate, args.seed)
    if args.score not in scores:
        raise ConfigurationError(_why_not(args.score, parts))
    windows = {name: STILLNESS_WINDOW if name == STILLNESS else args.window for name in scores}
    windows |= {TIME: 0.0}
    made = {
        name: calibrated(name, score, windows[name], parts, rate, args.false_alarms)
        for name, score in scores.items()
    }
    card = MonitorCard(
        policy_id=collection.policy_id,
        policy_name=collection.policy_name,
        site=sae.card.site,
        width=sae.card.d_in,
        token_groups=sae.card.token_groups,
        bundle_id=sae.bundle_id,
        control_rate=rate,
        interval=interval_of(parts.calibration),
        false_alarms=args.false_alarms,
        rate_range=rate_range(len(parts.calibration), args.false_alarms),
        fit_episodes=len(parts.fit),
        failing_fit_episodes=len(parts.failing),
        calibration_episodes=len(parts.calibration),
        score=args.score,
        scores=tuple(ScoreCard(name, one.window, one.band.quantile) for name, one in made.items()),
        seen=parts.seen,
        data={
            "activations": str(args.activations),
            "tasks": sorted({one.task for one in parts.calibration}),
            "seed": args.seed,
        },
    )
    return Monitor(card, made)


def _why_not(score: str, parts: Parts) -> str:
    if score == PROBE:
        return complaint(
            "failing episodes to fit a probe to",
            len(parts.failing),
            "2 up, some of them while successful ones still run",
            "Collect more, or choose another --score.",
        )
    return complaint("score that these activations allow", score, "another --score")


def _words(monitor: Monitor, parts: Parts, args: argparse.Namespace) -> list[str]:
    card = monitor.card
    low, high = card.rate_range
    names = [one.name for one in card.scores]
    others = [name for name in names if name not in BASELINES]
    dull = [name for name in names if name in BASELINES]
    return [
        f"monitor {monitor.monitor_id} of {card.policy_name} {card.site}: {args.out}",
        f"Scores {', '.join(others)}, baselines {', '.join(dull)}; {card.score} raises the alarm.",
        f"Fitted to {card.fit_episodes} successful and {card.failing_fit_episodes} failing "
        f"episodes, calibrated on {card.calibration_episodes} others; {len(parts.rest)} are left "
        "for vla-sae monitor score.",
        f"At most {card.false_alarms:.0%} of successful episodes raise an alarm if they are "
        "exchangeable with the calibration episodes: the same policy, tasks, layouts and rate of "
        f"inference, no steering. A calibration with so many episodes has a rate from {low:.1%} to "
        f"{high:.1%} in 90 of 100 cases.",
    ]


def _trained_on(sae: SaeBundle, dataset: ActivationDataset) -> list[str]:
    """Return a warning if the SAE was trained on this collection: its FVU is too low there."""
    held_out = set(sae.card.data.get("held_out_episodes", ()))
    ours = {one.episode_id for one in dataset.episodes}
    if not held_out & ours:
        return []
    return [
        f"warning: the SAE was trained on {len(ours - held_out)} of these {len(ours)} episodes. It "
        "explains them better than new ones, so the threshold of fvu is too low: expect more false "
        "alarms of fvu than named. Calibrate it on other episodes, collected with another --seed.",
    ]
