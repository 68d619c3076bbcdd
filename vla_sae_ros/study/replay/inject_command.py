"""`vla-sae bag inject`: one episode's stream at a site played into another's observations."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from vla_sae_ros.bags.bag_argument import add_bag
from vla_sae_ros.bags.episode_choice import chosen_episode
from vla_sae_ros.bags.opened_bag import open_bag
from vla_sae_ros.bags.recorded_frames import RecordedFrames
from vla_sae_ros.bags.recorded_inferences import recorded_inferences
from vla_sae_ros.core.errors import RecordingError, complaint
from vla_sae_ros.core.terminal import plain_console
from vla_sae_ros.policy.donor import given_streams
from vla_sae_ros.study.replay.injection import Injected, injected
from vla_sae_ros.study.replay.policy_arguments import add_policy_arguments
from vla_sae_ros.study.replay.provenance import recorded_facts
from vla_sae_ros.study.replay.replay_engine import contract_for, engine_for

TABLE = "inject.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare donor, receiver, policy and site."""
    add_bag(parser, "folder of the donor's bag, recorded with pictures")
    parser.add_argument(
        "--episode", default="1", help="episode of that bag: id or number; default 1"
    )
    parser.add_argument(
        "--into", type=Path, help="bag of the receiving episode; default: the same bag"
    )
    parser.add_argument(
        "--into-episode",
        default="1",
        help="episode of that bag: id or number; default %(default)s",
    )
    parser.add_argument("--site", required=True, help="site to replace, e.g. backbone.1")
    parser.add_argument(
        "--tokens",
        nargs="+",
        default=[],
        metavar="GROUP",
        help="token groups to replace; default: all of the site",
    )
    add_policy_arguments(parser)
    parser.add_argument("--output", type=Path, help="folder for the table of all inferences")


def run(args: argparse.Namespace) -> int:
    """Record the donor's stream, play it in, print how far the chunks follow."""
    into = args.into or args.bag
    with open_bag(args.bag, args.namespace) as bag:
        inferences = chosen_episode(recorded_inferences(bag).inferences, args.episode, args.bag)
        engine = engine_for(args, recorded_facts(bag))
        try:
            injection = engine.attach_injection(args.site, args.tokens)
            engine.warm_up()
            frames = RecordedFrames(bag, contract_for(args))
            donor = list(given_streams(engine, injection, frames.of(inferences)))
            told = inferences[0].instruction
            with open_bag(into, args.namespace) as other:
                receiver = chosen_episode(
                    recorded_inferences(other).inferences, args.into_episode, into
                )
                frames = RecordedFrames(other, contract_for(args))
                moments = injected(engine, injection, frames, receiver, donor)
                total = min(len(receiver), len(donor))
                found = list(track(moments, "injecting", total, console=plain_console(stderr=True)))
        finally:
            engine.close()
    if not found:
        raise RecordingError(
            complaint("inferences that both episodes have", 0, "at least one, with its pictures")
        )
    _say(args.site, found, told, receiver[0].instruction)
    if args.output is not None:
        _write(args.output, found)
    return 0


def _say(site: str, found: Sequence[Injected], donor: str, receiver: str) -> None:
    shares = np.array([one.share for one in found])
    known = shares[np.isfinite(shares)]
    apart, moved, left = (
        float(np.mean([getattr(one, name) for one in found])) for name in ("apart", "moved", "left")
    )
    middle = "unknown: the chunks are the same"
    if len(known):
        low, median, high = np.quantile(known, (0.25, 0.5, 0.75))
        middle = f"median {median:.2f} (quartiles {low:.2f} to {high:.2f})"
    print(
        f"{len(found)} inferences of “{receiver}” with the stream at {site} of “{donor}”\n"
        f"share of the way from its own chunk to the donor's: {middle}\n"
        f"mean ||da||: {moved:.3f} moved, {left:.3f} left to the donor's chunk, {apart:.3f} "
        "between the two plain chunks"
    )


def _write(folder: Path, found: Sequence[Injected]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "donor_step", "share", "moved", "left", "apart"])
        for one in found:
            numbers = (one.share, one.moved, one.left, one.apart)
            writer.writerow([one.step, one.donor_step, *(f"{value:.6g}" for value in numbers)])
    print(f"every inference: {folder / TABLE}")
