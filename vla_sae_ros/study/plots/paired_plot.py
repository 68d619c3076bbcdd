"""Two episodes in one picture: where the hand went, and how their traces part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from vla_sae_ros.bags.episode_trace import EpisodeTrace
from vla_sae_ros.core.catalogue import Catalogue
from vla_sae_ros.core.one_line import one_line
from vla_sae_ros.study.plots import colours
from vla_sae_ros.study.plots.feature_choice import FeatureName, observed_max
from vla_sae_ros.study.plots.paired_effect import PairedEffect, Positions
from vla_sae_ros.study.plots.traces_plot import PANELS, feature_title

_FONT: dict[Any, Any] = {
    "font.size": 12,
    "legend.fontsize": 11,
    "text.parse_math": False,  # labels are other people's text
}
_LOOKS = (
    {"color": colours.BLUE, "linestyle": "--", "linewidth": 2.0},
    {"color": colours.VERMILION, "linestyle": "-", "linewidth": 2.2},
)
_FEATURES = 2


def write_paired_plot(
    path: Path,
    effect: PairedEffect,
    names: tuple[str, str],
    catalogues: Mapping[str, Catalogue],
    features: Sequence[FeatureName],
) -> None:
    """Write a PNG; `names` are what the legend calls the episodes. Two features at most."""
    shown = [name for name in features if name[0] in effect.b.features][:_FEATURES]
    with matplotlib.rc_context(_FONT):
        figure = Figure(
            figsize=(15, 10), dpi=100, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08)
        )
        FigureCanvasAgg(figure)
        halves: Any = figure.subfigures(1, 2, width_ratios=[1, 1.25])
        left, right = halves
        _draw_space(left.add_subplot(2, 1, 1, projection="3d"), effect, names)
        _draw_above(left.add_subplot(2, 1, 2), effect, names)
        axes = list(right.subplots(len(shown) + 3, 1, sharex=True))
        _draw_traces(axes, effect, names, catalogues, shown)
        figure.suptitle(_title(effect, names))
        right.align_ylabels(axes)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Software": None})


def _sides(effect: PairedEffect) -> tuple[tuple[EpisodeTrace, Positions], ...]:
    return (effect.a, effect.position_a), (effect.b, effect.position_b)


def _draw_space(axes: Any, effect: PairedEffect, names: tuple[str, str]) -> None:
    for (trace, _), name, look in zip(_sides(effect), names, _LOOKS, strict=True):
        x, y, z = trace.position.values.T
        axes.plot(x, y, z, label=name, **look)
        axes.scatter(x[:1], y[:1], z[:1], color="black", s=30)
        axes.scatter(x[-1:], y[-1:], z[-1:], color=look["color"], marker="s", s=40)
    _draw_acting(
        effect,
        lambda part: axes.plot(*part.T, color=colours.ORANGE, linewidth=6, alpha=0.55, zorder=0),
    )
    axes.set_xlabel("x [m]", labelpad=8)
    axes.set_ylabel("y [m]", labelpad=8)
    axes.set_zlabel("height [m]", labelpad=8)
    axes.locator_params(nbins=4)
    axes.set_box_aspect(None, zoom=0.9)


def _draw_above(axes: Axes, effect: PairedEffect, names: tuple[str, str]) -> None:
    for (trace, _), name, look in zip(_sides(effect), names, _LOOKS, strict=True):
        x, y, _z = trace.position.values.T
        axes.plot(x, y, label=name, **look)  # type: ignore[arg-type]
        axes.plot(
            x[:1],
            y[:1],
            "o",
            color="black",
            markersize=7,
            label="start" if trace is effect.a else None,
        )
        axes.plot(
            x[-1:],
            y[-1:],
            "s",
            color=str(look["color"]),
            markersize=8,
            label=f"end of {name}: {trace.status.words}",
        )
    _draw_acting(
        effect,
        lambda part: axes.plot(
            part[:, 0],
            part[:, 1],
            color=colours.ORANGE,
            linewidth=7,
            alpha=0.55,
            zorder=0,
            solid_capstyle="butt",
        ),
    )
    if effect.windows:
        axes.plot([], [], color=colours.ORANGE, linewidth=7, alpha=0.55, label="steering acts")
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("x [m], from above")
    axes.set_ylabel("y [m]")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False)


def _draw_acting(effect: PairedEffect, draw: Any) -> None:
    for trace, positions in _sides(effect):
        for first, last in trace.steering_windows():
            part = positions[first : last + 1]
            if len(part) > 1:
                draw(part)


def _draw_traces(
    axes: Sequence[Axes],
    effect: PairedEffect,
    names: tuple[str, str],
    catalogues: Mapping[str, Catalogue],
    features: Sequence[FeatureName],
) -> None:
    rate = effect.a.control_rate
    for each in axes:
        for first, last in effect.windows:
            each.axvspan(
                first / rate, last / rate, color=colours.STEERING, alpha=0.55, linewidth=0, zorder=0
            )
        each.grid(alpha=0.3)
    for each, name in zip(axes, features, strict=False):
        _draw_feature(each, effect, names, catalogues, name)
    for each, panel in zip(axes[len(features) :], PANELS[:2], strict=False):
        for (trace, _), label, look in zip(_sides(effect), names, _LOOKS, strict=True):
            series = panel.series(trace)
            each.plot(series.step / rate, series.values, label=label, **look)  # type: ignore[arg-type]
        each.set_ylabel(panel.label)
    axes[0].legend(loc="upper right", framealpha=0.85, ncols=2)
    axes[-1].plot(
        np.arange(effect.steps + 1) / rate, 1000 * effect.distance, color="black", linewidth=2
    )
    axes[-1].set_ylabel("hands\napart [mm]")
    axes[-1].set_ylim(bottom=0)
    axes[-1].set_xlabel("time since the first observation [s]")


def _draw_feature(
    axes: Axes,
    effect: PairedEffect,
    names: tuple[str, str],
    catalogues: Mapping[str, Catalogue],
    name: FeatureName,
) -> None:
    site, feature = name
    unit = observed_max(catalogues, name)
    for (trace, _), label, look in zip(_sides(effect), names, _LOOKS, strict=True):
        stream = trace.features.get(site)
        if stream is not None:
            applied = stream.dense([feature])[1][:, 0] / (unit or 1.0)
            axes.step(stream.step / trace.control_rate, applied, where="post", label=label, **look)  # type: ignore[arg-type]
    axes.set_title(feature_title(catalogues.get(site), site, feature), loc="left", fontsize=12)
    axes.set_ylabel("activation\n[obs. max.]" if unit else "activation\n[SAE units]")


def _title(effect: PairedEffect, names: tuple[str, str]) -> str:
    outcomes = ";  ".join(
        f"{name}: {trace.status.words} after {trace.steps} steps"
        for (trace, _), name in zip(_sides(effect), names, strict=True)
    )
    return f"“{one_line(effect.a.instruction)}”\n{outcomes}"
