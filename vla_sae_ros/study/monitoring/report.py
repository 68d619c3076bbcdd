"""What was measured: a table for people, tables for tools, and a picture."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.markup import escape
from rich.table import Table

from vla_sae_ros.monitors.card import MonitorCard
from vla_sae_ros.monitors.scores import BASELINES
from vla_sae_ros.study.monitoring.measures import Share, Worth
from vla_sae_ros.study.monitoring.sources import Source

TABLE, OVER_TIME, PICTURE = "monitor.csv", "auroc.csv", "monitor.png"
Measured = Sequence[tuple[Source, Sequence[Worth]]]


def table(source: Source, found: Sequence[Worth], card: MonitorCard) -> Table:
    """Return what every score is worth on one source."""
    kinds = [one.success for one in source.episodes]
    title = (
        f"{source.name}: {kinds.count(True)} successful and {kinds.count(False)} failing episodes"
    )
    if source.seen:
        title += f"; {source.seen} that the monitor has seen are left out"
    made = Table(title=escape(title))
    made.add_column("score")
    made.add_column(f"false alarms (wanted {card.false_alarms:g})", justify="right")
    for name in ("failures caught", "before the end", "AUROC", "within a task"):
        made.add_column(name, justify="right")
    for one in found:
        made.add_row(
            f"{one.score}{' (baseline)' if one.score in BASELINES else ''}"
            f"{' *' if one.score == card.score else ''}",
            _in_words(one.false_alarms),
            _in_words(one.caught),
            "-" if not len(one.lead) else f"{np.median(one.lead):.1f} s",
            _number(mean_over_time(one.auroc.every)),
            _number(mean_over_time(one.auroc.within)),
        )
    return made


def write_tables(folder: Path, measured: Measured, card: MonitorCard) -> None:
    """Write TABLE, one row per source and score, and OVER_TIME, one per moment."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [_row(source, one, card) for source, found in measured for one in found]
    _write(folder / TABLE, rows)
    over_time = [
        {
            "data": source.name,
            "score": one.score,
            "time_s": f"{time:g}",
            "auroc": _number(every),
            "auroc_within_tasks": _number(within),
            "pairs_within_tasks": int(pairs),
        }
        for source, found in measured
        for one in found
        for time, every, within, pairs in zip(
            one.auroc.times, one.auroc.every, one.auroc.within, one.auroc.pairs_within, strict=True
        )
    ]
    _write(folder / OVER_TIME, over_time)


def mean_over_time(values: Iterable[float]) -> float:
    """Return the mean of what is known; NaN where nothing is."""
    known = [one for one in values if math.isfinite(one)]
    return float(np.mean(known)) if known else math.nan


def _row(source: Source, one: Worth, card: MonitorCard) -> Mapping[str, object]:
    wrong, caught = one.false_alarms, one.caught
    return {
        "data": source.name,
        "score": one.score,
        "baseline": int(one.score in BASELINES),
        "raises_the_alarm": int(one.score == card.score),
        "successes": wrong.of,
        "false_alarms": wrong.count,
        "false_alarm_rate": _number(wrong.share),
        "rate_low": _number(wrong.interval[0]),
        "rate_high": _number(wrong.interval[1]),
        "rate_wanted": f"{card.false_alarms:g}",
        "failures": caught.of,
        "caught": caught.count,
        "caught_share": _number(caught.share),
        "caught_low": _number(caught.interval[0]),
        "caught_high": _number(caught.interval[1]),
        "median_seconds_before_the_end": _number(
            float(np.median(one.lead)) if len(one.lead) else math.nan
        ),
        "auroc": _number(mean_over_time(one.auroc.every)),
        "auroc_within_tasks": _number(mean_over_time(one.auroc.within)),
    }


def _write(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def _in_words(share: Share) -> str:
    if not share.of:
        return "-"
    low, high = share.interval
    return f"{share.count} of {share.of}, {low:.0%} to {high:.0%}"


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else ""
