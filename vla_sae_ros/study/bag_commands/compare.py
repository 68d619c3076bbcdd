"""`vla-sae bag compare`: what steering did, from two bags or two episodes of one."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vla_sae_ros.bags.bag_argument import add_namespace, tell
from vla_sae_ros.bags.episode_trace import EpisodeTrace
from vla_sae_ros.bags.reading import read_bag
from vla_sae_ros.core.errors import RecordingError, complaint
from vla_sae_ros.core.one_line import printable
from vla_sae_ros.core.terminal import plain_console
from vla_sae_ros.study.bag_commands.choice import (
    add_features_argument,
    check_features,
    check_timed,
    episode_named,
)
from vla_sae_ros.study.plots.feature_choice import chosen_features
from vla_sae_ros.study.plots.paired_effect import PairedEffect, paired_effect
from vla_sae_ros.study.plots.paired_page import write_paired_page
from vla_sae_ros.study.plots.paired_plot import write_paired_plot


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two episodes and where to write."""
    parser.add_argument("a", type=Path, help="folder of a bag")
    parser.add_argument(
        "b", type=Path, nargs="?", help="folder of the other bag; default: the same bag"
    )
    add_namespace(parser)
    parser.add_argument(
        "--episodes",
        nargs=2,
        metavar=("A", "B"),
        help="ids, or numbers from 1; default: 1 of each bag, or 1 and 2 of one",
    )
    add_features_argument(parser, "up to two; default: the edited or most active")
    parser.add_argument(
        "--output", type=Path, default=Path("out/compare"), help="folder to write to"
    )


def run(args: argparse.Namespace) -> int:
    """Print the table; write compare.png, compare.html and compare.json."""
    first = read_bag(args.a, pictures=False, namespace=args.namespace)
    second = first
    if args.b is not None:
        second = read_bag(args.b, pictures=False, namespace=args.namespace)
    wanted = args.episodes or (("1", "2") if args.b is None else ("1", "1"))
    a, b = episode_named(first.episodes, wanted[0]), episode_named(second.episodes, wanted[1])
    if a is b:
        raise RecordingError(complaint("two episodes to compare", wanted, "two different ones"))
    for trace in (a, b):
        check_timed(trace)
    check_features(b, args.features)
    effect = paired_effect(a, b)
    catalogues = first.catalogues | second.catalogues
    features = args.features or chosen_features(b, catalogues, 2)
    names = _names(a, b)
    _print(plain_console(), effect, names)
    write_paired_plot(args.output / "compare.png", effect, names, catalogues, features)
    write_paired_page(args.output / "compare.html", effect, names)
    report = {
        "episodes": [a.episode_id, b.episode_id],
        "unpaired": effect.unpaired,
        "success": [a.succeeded, b.succeeded],
        "steps": [a.steps, b.steps],
        **effect.figures(),
    }
    (args.output / "compare.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    print(f"written to {args.output}: compare.png, compare.html, compare.json")
    return tell(*([first.findings] if second is first else [first.findings, second.findings]))


def _names(a: EpisodeTrace, b: EpisodeTrace) -> tuple[str, str]:
    said = tuple("steered" if trace.steering_windows() else "plain" for trace in (a, b))
    return (said[0], said[1]) if said[0] != said[1] else (f"A ({said[0]})", f"B ({said[1]})")


def _print(console: Console, effect: PairedEffect, names: tuple[str, str]) -> None:
    for line in effect.unpaired:
        console.print(f"not a pair, they differ in {printable(line)}", highlight=False)
    outcomes = Table("", *names)
    outcomes.add_row("outcome", effect.a.status.words, effect.b.status.words)
    outcomes.add_row("steps", str(effect.a.steps), str(effect.b.steps))
    console.print(outcomes)
    figures = Table("over their common time", "")
    for name, value in effect.figures().items():
        full = name.replace(" a [", f" {names[0]} [").replace(" b [", f" {names[1]} [")
        fine = "[s]" in name or "[m]" in name
        figures.add_row(full, f"{value:.3f}" if fine else f"{value:.1f}")
    console.print(figures)
