"""`vla-sae bag plot`: feature traces over gripper, height and speed, as pictures and pages."""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_sae_ros.bags.bag_argument import add_bag, tell
from vla_sae_ros.bags.reading import read_bag
from vla_sae_ros.core.errors import RecordingError, complaint
from vla_sae_ros.core.one_line import printable
from vla_sae_ros.study.bag_commands.choice import (
    add_features_argument,
    check_features,
    check_timed,
    episode_named,
)
from vla_sae_ros.study.plots.interactive import write_traces_page
from vla_sae_ros.study.plots.traces_plot import write_traces_plot


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the bag, the features and where to write."""
    add_bag(parser)
    parser.add_argument(
        "--episode", help="id of an episode, or its number from 1; default: every episode"
    )
    add_features_argument(parser, "default: the edited and the most active ones")
    parser.add_argument("--output", type=Path, default=Path("out/plots"), help="folder to write to")


def run(args: argparse.Namespace) -> int:
    """Write a PNG and an HTML page per episode, and say where they are."""
    bag = read_bag(args.bag, pictures=False, namespace=args.namespace)
    if not bag.episodes:
        tell(bag.findings)
        raise RecordingError(
            complaint("nothing to plot", str(args.bag), "a bag with at least one episode")
        )
    chosen = [episode_named(bag.episodes, args.episode)] if args.episode else bag.episodes
    if args.episode or len(chosen) == 1:
        check_timed(chosen[0])
    for trace in chosen:
        check_features(trace, args.features)
    for trace in chosen:
        if not trace.control_rate > 0:
            bag.findings.damage(f"episode {trace.episode_id}: its times are not known")
            continue
        number = bag.episodes.index(trace) + 1
        base = args.output / f"traces_{number}"
        write_traces_plot(base.with_suffix(".png"), trace, bag.catalogues, args.features)
        write_traces_page(base.with_suffix(".html"), trace, bag.catalogues, args.features)
        print(f"episode {number} ({printable(trace.episode_id)}): {base}.png, {base}.html")
    return tell(bag.findings)
