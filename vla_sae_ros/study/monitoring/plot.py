"""One picture of what a monitor is worth: scores with their band, AUROC over time, and rates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vla_sae_ros.monitors.card import MonitorCard
from vla_sae_ros.monitors.scores import BASELINES, MEANING
from vla_sae_ros.study.monitoring.measures import Share, Worth
from vla_sae_ros.study.monitoring.report import Measured
from vla_sae_ros.study.plots import colours

_FONT: dict[Any, Any] = {"font.size": 11, "text.parse_math": False}
_OTHERS = (colours.BLUE, colours.PURPLE, colours.GREEN)
_BASELINE_STYLES = ("--", ":")
_COLUMN, _HEIGHT = 4.6, 10.0  # [inch]


def write_plot(path: Path, measured: Measured, card: MonitorCard) -> None:
    """Write a PNG with a column per source."""
    with matplotlib.rc_context(_FONT):
        figure = Figure(figsize=(max(6.0, _COLUMN * len(measured)), _HEIGHT), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(3, len(measured), squeeze=False, sharey="row")
        for column, (source, found) in enumerate(measured):
            own = next(one for one in found if one.score == card.score)
            _draw_scores(axes[0, column], own, card)
            axes[0, column].set_title(source.name, fontsize=12)
            _draw_auroc(axes[1, column], found)
            _draw_rates(axes[2, column], found, card)
        axes[0, 0].set_ylabel("\n".join(_wrapped(MEANING[card.score])), fontsize=10)
        axes[1, 0].set_ylabel("AUROC within a task,\nof episodes that still run")
        axes[1, 0].legend(loc="lower right", fontsize=9)
        axes[2, 0].set_ylabel("share of episodes, 95 %")
        axes[2, 0].legend(loc="upper left", fontsize=9)
        figure.savefig(path, dpi=100)


def _draw_scores(axes: Axes, own: Worth, card: MonitorCard) -> None:
    longest: dict[int, float] = {}
    for one in own.watched:
        colour = colours.BLUE if one.episode.success else colours.VERMILION
        time = [each.step / card.control_rate for each in one.said]
        axes.plot(time, [each.score for each in one.said], color=colour, alpha=0.35, linewidth=0.8)
        longest |= {each.step: each.threshold for each in one.said}
        first = [each for each in one.said if each.step == one.alarm_step]
        axes.plot(
            [each.step / card.control_rate for each in first[:1]],
            [each.score for each in first[:1]],
            marker="o",
            markersize=4,
            color=colour,
        )
    steps = sorted(longest)
    axes.plot(
        np.array(steps) / card.control_rate,
        [longest[step] for step in steps],
        color=colours.BLACK,
        linewidth=1.6,
    )
    axes.set_xlabel("time since the start [s]")
    said = "success blue, failure red, threshold black, alarm a dot"
    axes.text(0.02, 0.98, said, transform=axes.transAxes, fontsize=8, va="top")


def _draw_auroc(axes: Axes, found: Sequence[Worth]) -> None:
    for one in found:
        colour, style = _look(one.score, found)
        axes.plot(one.auroc.times, one.auroc.within, color=colour, linestyle=style, label=one.score)
    axes.axhline(0.5, color="0.8", linewidth=0.8, zorder=0)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("time since the start [s]")


def _draw_rates(axes: Axes, found: Sequence[Worth], card: MonitorCard) -> None:
    for shift, colour, label, of in (
        (-0.12, colours.BLUE, "false alarms", [one.false_alarms for one in found]),
        (0.12, colours.VERMILION, "failures caught", [one.caught for one in found]),
    ):
        _draw_shares(axes, np.arange(len(found)) + shift, of, colour, label)
    axes.axhline(card.false_alarms, color=colours.BLUE, linewidth=0.8, linestyle="--")
    names = [f"{one.score}{' *' if one.score == card.score else ''}" for one in found]
    axes.set_xticks(range(len(found)), names, rotation=30, ha="right")
    axes.set_ylim(-0.03, 1.03)


def _draw_shares(
    axes: Axes, place: np.ndarray, shares: Sequence[Share], colour: str, label: str
) -> None:
    values = np.array([one.share for one in shares])
    ends = np.array([one.interval for one in shares])
    error = np.abs(np.stack([values - ends[:, 0], ends[:, 1] - values]))
    axes.errorbar(place, values, error, fmt="o", color=colour, markersize=5, label=label)


def _look(score: str, found: Sequence[Worth]) -> tuple[str, str]:
    if score in BASELINES:
        return colours.BLACK, _BASELINE_STYLES[BASELINES.index(score)]
    others = [one.score for one in found if one.score not in BASELINES]
    return _OTHERS[others.index(score)], "-"


def _wrapped(text: str, width: int = 32) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
