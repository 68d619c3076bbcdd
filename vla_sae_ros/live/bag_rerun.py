"""`vla-sae bag rerun`: a bag as an .rrd file, or a running system live, for the Rerun viewer."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vla_sae_ros.bags.bag_argument import add_namespace, tell
from vla_sae_ros.bags.episode_trace import Picture
from vla_sae_ros.bags.reading import read_bag
from vla_sae_ros.core.errors import ConfigurationError, RecordingError, complaint
from vla_sae_ros.study.bag_commands.choice import (
    add_features_argument,
    episode_named,
    feature_name,
)
from vla_sae_ros.study.replay.policy_arguments import add_policy_arguments
from vla_sae_ros.study.rerun.sdk import require_sdk

if TYPE_CHECKING:
    from vla_sae_ros.study.rerun.bag_file import Heatmaps


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the bag or --live, what is shown and where it goes."""
    parser.add_argument("bag", type=Path, nargs="?", help="folder of the bag; or --live")
    parser.add_argument(
        "--live", action="store_true", help="show the running system in a viewer until Ctrl-C"
    )
    parser.add_argument(
        "--connect",
        metavar="URL",
        help="with --live: a viewer that is open already, e.g. rerun+http://127.0.0.1:9876/proxy; "
        "default: open one",
    )
    parser.add_argument(
        "--output", "--out", type=Path, help="of a bag: .rrd file, default out/<bag>.rrd"
    )
    parser.add_argument("--episode", help="its id, or its number from 1; default: every one")
    add_features_argument(parser, "drawn as series; default: the edited and most active")
    parser.add_argument(
        "--heatmap",
        type=feature_name,
        metavar="SITE:ID",
        help="of a bag: feature drawn over the pictures, computed again by the policy; "
        "a recorded heatmap is shown in any case",
    )
    add_namespace(parser)
    add_policy_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write the file and say where it is; or stream until Ctrl-C."""
    if args.live == (args.bag is not None):
        raise ConfigurationError(
            complaint("what to show", "both" if args.live else "neither", "a bag, or --live")
        )
    unused = ("connect",) if args.bag else ("output", "episode", "heatmap")
    for name in unused:
        if getattr(args, name) is not None:
            other = "--live" if args.bag else "a bag"
            raise ConfigurationError(f"--{name} goes with {other} only.")
    require_sdk()
    if args.live:
        from vla_sae_ros.live.rerun_live import show_live

        return show_live(args.features, args.connect, args.namespace)
    return _write(args)


def _write(args: argparse.Namespace) -> int:
    from vla_sae_ros.study.rerun.bag_file import write_rrd

    bag = read_bag(args.bag, pictures=False, namespace=args.namespace)
    if not bag.episodes and args.episode is None:
        print("no episode in it: everything goes into one recording")
    episodes = [episode_named(bag.episodes, args.episode)] if args.episode else []
    known = {site for each in (*bag.episodes, bag.outside) for site in each.features}
    unknown = sorted({site for site, _ in args.features} - known)
    if unknown:
        raise ConfigurationError(
            complaint("no features of this site in the bag", unknown, sorted(known))
        )
    path = args.output or Path("out") / f"{args.bag.resolve().name}.rrd"
    findings = write_rrd(
        args.bag,
        bag,
        episodes,
        path,
        args.features,
        _heatmaps(args) if args.heatmap else None,
        args.namespace,
    )
    if not path.is_file():
        tell(findings)
        raise RecordingError(complaint("nothing to show", str(args.bag), "a bag with messages"))
    print(f"written to {path} ({path.stat().st_size / 1e6:.1f} MB); open it: rerun {path}")
    return tell(findings)


def _heatmaps(args: argparse.Namespace) -> Heatmaps:
    from vla_sae_ros.study.replay.replayed_heatmaps import replayed_heatmaps  # brings PyTorch

    site, feature = args.heatmap

    def computed(episode: str) -> tuple[str, Mapping[int, Picture]]:
        return f"{site} {feature}", replayed_heatmaps(args, episode, site, feature)

    return computed
