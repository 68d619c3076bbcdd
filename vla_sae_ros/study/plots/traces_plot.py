"""One picture of an episode: feature traces over gripper, height and speed, steering shaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from vla_sae_ros.bags.episode_trace import EpisodeTrace, Series
from vla_sae_ros.core.catalogue import Catalogue
from vla_sae_ros.core.one_line import one_line, printable
from vla_sae_ros.study.plots import colours
from vla_sae_ros.study.plots.feature_choice import FeatureName, chosen_features, observed_max
from vla_sae_ros.study.plots.marks import Mark, marks_of

_MOST = len(colours.LINES)
_STYLES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
_FONT: dict[Any, Any] = {
    "font.size": 13,
    "axes.labelsize": 13,
    "legend.fontsize": 12,
    "text.parse_math": False,  # labels and instructions are other people's text
}


@dataclass(frozen=True)
class Panel:
    """One quantity over time, below the features."""

    label: str
    series: Callable[[EpisodeTrace], Series]


def _opening_mm(trace: EpisodeTrace) -> Series:
    opening = trace.opening()
    return Series(opening.step, opening.values * 1000)


PANELS = (
    Panel("gripper\nopening [mm]", _opening_mm),
    Panel("hand\nheight [m]", EpisodeTrace.height),
    Panel("hand\nspeed [m/s]", EpisodeTrace.speed),
)


def write_traces_plot(
    path: Path,
    trace: EpisodeTrace,
    catalogues: Mapping[str, Catalogue] | None = None,
    features: Sequence[FeatureName] = (),
    plain: EpisodeTrace | None = None,
) -> None:
    """Write a PNG of `trace`; with `plain` its unsteered twin is drawn thin behind it.

    Without `features` the edited and the most active ones are shown; at most 6 are drawn.
    """
    known = catalogues or {}
    marks = marks_of(trace)
    with matplotlib.rc_context(_FONT):
        figure = Figure(
            figsize=(13, 10 + 0.8 * bool(marks)),
            dpi=100,
            layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1),
        )
        FigureCanvasAgg(figure)
        ratios = [2.4, 1, 1, 1] + [0.6] * bool(marks)
        top, *panels = figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios)
        shade(trace, (top, *panels))
        names = list(features) or chosen_features(trace, known, 4)
        draw_features(top, trace, known, names[:_MOST])
        for axes, panel in zip(panels, PANELS, strict=False):
            twin = None if plain is None else panel.series(plain)
            draw_series(axes, trace, panel.series(trace), twin, plain)
            axes.set_ylabel(panel.label)
        if plain is not None:
            panels[0].legend(loc="best", framealpha=0.85, ncols=2)
        if marks:
            _draw_marks(panels[-1], [top, *panels], trace, marks)
        panels[-1].set_xlabel(
            f"time since the first observation [s]   "
            f"({trace.control_rate:g} control steps per second)"
        )
        figure.suptitle(episode_title(trace, plain), fontsize=14)
        figure.align_ylabels()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Software": None})


def draw_features(
    axes: Axes, trace: EpisodeTrace, known: Mapping[str, Catalogue], names: list[FeatureName]
) -> None:
    """Draw features over time [s], in observed maxima where those are known."""
    known_max = [observed_max(known, name) for name in names]
    for number, ((site, feature), largest) in enumerate(zip(names, known_max, strict=True)):
        unit = largest or 1.0
        stream = trace.features[site]
        natural, applied = stream.dense([feature])
        # The last inference is valid up to the end of the episode.
        times = np.append(stream.step, max(trace.steps, stream.step[-1])) / trace.control_rate
        natural, applied = (np.append(each, each[-1:], axis=0) for each in (natural, applied))
        style = _STYLES[number % _MOST]
        colour = colours.LINES[number % _MOST]
        axes.step(
            times,
            applied[:, 0] / unit,
            where="post",
            color=colour,
            linestyle=style,
            linewidth=2.4,
            label=feature_title(known.get(site), site, feature),
        )
        if feature in stream.edited():
            axes.step(
                times,
                natural[:, 0] / unit,
                where="post",
                color=colour,
                linewidth=1.2,
                alpha=0.75,
                marker=".",
                markersize=5,
                label="  its natural value, before the edit",
            )
    if all(known_max):
        axes.set_ylabel("activation\n[observed maxima]")
    else:
        axes.set_ylabel("activation\n[observed maxima,\nSAE units where unknown]")
    axes.grid(alpha=0.3)
    axes.margins(y=0.08)
    if not names:
        axes.text(0.5, 0.5, "no feature was active", transform=axes.transAxes, ha="center")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.01),
        ncols=2,
        frameon=False,
        handlelength=3.2,
        borderaxespad=0.2,
    )


def draw_series(
    axes: Axes,
    trace: EpisodeTrace,
    series: Series,
    reference: Series | None,
    plain: EpisodeTrace | None,
) -> None:
    """Draw one quantity over time [s], with that of the plain twin behind it."""
    if reference is not None and plain is not None:
        axes.plot(
            reference.step / plain.control_rate,
            reference.values,
            color="0.45",
            linewidth=1.6,
            linestyle="--",
            label="plain",
        )
    axes.plot(
        series.step / trace.control_rate,
        series.values,
        color=colours.BLACK,
        linewidth=2,
        label="this episode" if reference is None else "steered",
    )
    axes.grid(alpha=0.3)
    axes.margins(y=0.12)


def shade(trace: EpisodeTrace, all_axes: Sequence[Axes]) -> None:
    """Shade the time in which steering acted."""
    for number, (first, last) in enumerate(trace.steering_windows()):
        for axes in all_axes:
            axes.axvspan(
                first / trace.control_rate,
                last / trace.control_rate,
                color=colours.STEERING,
                alpha=0.55,
                linewidth=0,
                zorder=0,
                label="steering acts" if number == 0 and axes is all_axes[0] else None,
            )


def _draw_marks(
    strip: Axes, all_axes: Sequence[Axes], trace: EpisodeTrace, marks: Sequence[Mark]
) -> None:
    """Draw a line through all panels at each mark, and what it says in the strip below."""
    strip.set_yticks([])
    strip.set_ylim(0, 1)
    strip.set_ylabel("events")
    for number, mark in enumerate(marks):
        time = mark.step / trace.control_rate
        colour = colours.VERMILION if mark.by_person else "0.35"
        for axes in all_axes:
            axes.axvline(time, color=colour, linewidth=1, linestyle=":", zorder=1)
        late = mark.step > trace.steps / 2
        text = strip.annotate(
            mark.text,
            (time, 0.8 - 0.3 * (number % 3)),
            xytext=(-5 if late else 5, 0),
            textcoords="offset points",
            fontsize=11,
            color=colour,
            va="center",
            ha="right" if late else "left",
            bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1},
        )
        text.set_in_layout(False)


def episode_title(trace: EpisodeTrace, plain: EpisodeTrace | None = None) -> str:
    """Return two lines: the instruction, and what came of it."""
    outcome = f"{trace.status.words} after {trace.steps} steps"
    if plain is not None:
        outcome += f" (plain: {plain.status.words} after {plain.steps})"
    task = f"{one_line(trace.suite)} {trace.task}, seed {trace.seed}"
    return f"“{one_line(trace.instruction)}”\n{task}: {outcome}"


def feature_title(catalogue: Catalogue | None, site: str, feature: int) -> str:
    """Return site, number and name of a feature, cut to what fits a legend."""
    entry = catalogue.get(feature) if catalogue else None
    name = entry.name if entry else ""
    shown = printable(name if len(name) <= 40 else name[:39] + "…")
    return f"{site} #{feature}" + (f"  {shown}" if shown else "")
