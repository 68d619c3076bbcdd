"""`vla-sae monitor score`: what an alarm is worth on episodes that it has not seen."""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_sae_ros.bags.bag_argument import tell
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.terminal import plain_console
from vla_sae_ros.monitors.monitor import Monitor
from vla_sae_ros.monitors.scores import NEEDS
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.monitoring.fit_command import load_sae
from vla_sae_ros.study.monitoring.measures import worth
from vla_sae_ros.study.monitoring.plot import write_plot
from vla_sae_ros.study.monitoring.report import PICTURE, table, write_tables
from vla_sae_ros.study.monitoring.sources import Source, is_activations, read_source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `monitor score`."""
    parser.add_argument("monitor", type=Path, help="folder that `monitor fit` wrote")
    parser.add_argument(
        "sources", type=Path, nargs="+", help="folders of activations, or bags of a running system"
    )
    parser.add_argument(
        "--sae",
        type=Path,
        help="for activations: the bundle whose FVU it is; default: the demonstration policy's",
    )
    parser.add_argument("--out", type=Path, help="folder for the tables and the picture")


def run(args: argparse.Namespace) -> int:
    """Measure, print a table per source and write files; return the exit status."""
    monitor = Monitor.load(args.monitor)
    card = monitor.card
    sae = _sae(args.sae, monitor) if any(map(is_activations, args.sources)) else None
    measured, console = [], plain_console()
    sources = [read_source(folder, card, sae) for folder in args.sources]
    for source in sources:
        found = worth(monitor.scores, source.episodes, card.control_rate)
        missing = [name for name in monitor.scores if name not in {one.score for one in found}]
        if card.score in missing:
            raise ConfigurationError(_why_not(card.score, source))
        if missing:
            print(f"{source.name}: left out are {', '.join(missing)}, not known in every episode.")
        measured.append((source, found))
        console.print(table(source, found, card))
    print(
        f"* raises the alarm of monitor {monitor.monitor_id}; shares with Wilson's 95 % interval."
    )
    if args.out is not None:
        write_tables(args.out, measured, card)
        write_plot(args.out / PICTURE, measured, card)
        print(f"tables and picture: {args.out}")
    return tell(*(findings for source in sources for findings in source.findings))


def _why_not(score: str, source: Source) -> str:
    needs = NEEDS[score]
    advice = "A bag has it where the policy node's publish_pooled was set." * (needs == "pooled")
    return complaint(
        f"{needs} of the inferences in {source.name}, which {score} is made of",
        "not known in every episode",
        "known",
        advice,
    )


def _sae(folder: Path | None, monitor: Monitor) -> SaeBundle:
    sae = load_sae(folder, monitor.card.site)
    if sae.bundle_id != monitor.card.bundle_id:
        raise ConfigurationError(
            complaint(
                "SAE of the monitor",
                sae.bundle_id,
                f"{monitor.card.bundle_id!r}, which it was calibrated with",
                "Name its bundle with --sae.",
            )
        )
    return sae
