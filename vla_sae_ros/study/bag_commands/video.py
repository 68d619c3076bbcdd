"""`vla-sae bag video`: an episode's cameras, a feature's heatmap and the traces, as MP4."""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_sae_ros.bags.bag_argument import add_bag, tell
from vla_sae_ros.bags.episode_trace import EpisodeTrace
from vla_sae_ros.bags.reading import read_bag
from vla_sae_ros.core.progress import CommandProgress
from vla_sae_ros.study.bag_commands.choice import (
    add_features_argument,
    check_features,
    check_timed,
    episode_named,
    feature_name,
)
from vla_sae_ros.study.plots.feature_choice import chosen_features
from vla_sae_ros.study.plots.film import Heatmaps, write_film
from vla_sae_ros.study.replay.policy_arguments import add_policy_arguments
from vla_sae_ros.study.replay.replayed_heatmaps import replayed_heatmaps

_FEATURES = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the bag, what is shown and where to write."""
    add_bag(parser, "folder of the bag, recorded with pictures")
    parser.add_argument("--episode", default="1", help="id of the episode, or its number from 1")
    add_features_argument(parser, "traces; default: the edited or most active")
    parser.add_argument(
        "--heatmap",
        type=feature_name,
        metavar="SITE:ID",
        help="feature to draw over the pictures, recomputed by the policy; default: "
        "the recorded heatmap, if any",
    )
    add_policy_arguments(parser)
    parser.add_argument("--output", type=Path, default=Path("out/episode.mp4"), help="MP4 file")


def run(args: argparse.Namespace) -> int:
    """Write the film and say where it is."""
    bag = read_bag(args.bag, namespace=args.namespace)
    trace = episode_named(bag.episodes, args.episode)
    check_timed(trace)
    check_features(trace, args.features)
    heatmaps, title = _heatmaps(args, trace)
    features = args.features or chosen_features(trace, bag.catalogues, _FEATURES)
    with CommandProgress() as progress:
        bar = progress.add_task("drawing", total=None)
        write_film(
            args.output,
            trace,
            bag.catalogues,
            features,
            heatmaps,
            title,
            lambda done, total: progress.update(bar, completed=done, total=total),
        )
    print(f"written to {args.output}")
    return tell(bag.findings)


def _heatmaps(args: argparse.Namespace, trace: EpisodeTrace) -> tuple[Heatmaps, str]:
    if args.heatmap is None:
        recorded = "feature heatmap, as recorded"
        return trace.heatmaps, recorded if trace.heatmaps else "choose a feature with --heatmap"
    site, feature = args.heatmap
    title = f"where {site} #{feature} fires (computed again)"
    return replayed_heatmaps(args, trace.episode_id, site, feature), title
