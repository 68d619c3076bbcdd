"""One picture of a training run: its curve, the features' densities, FVU by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vla_sae_ros.study.plots import colours

_FONT = {"font.size": 13}


def write_training_picture(
    path: Path,
    title: str,
    curve: Sequence[Mapping[str, float]],
    density: np.ndarray,
    fvu: float,
    fvu_by_task: Mapping[str, float],
) -> None:
    """Write a PNG.

    Args:
        path: of the picture.
        title: what was trained.
        curve: kept steps, with `step`, `fvu` and `l0`.
        density: (F,) share of inferences in which a feature fires, 0 for dead ones.
        fvu: held-out FVU. fvu_by_task: the same for each task.
    """
    with matplotlib.rc_context(_FONT):  # type: ignore[arg-type]
        figure = Figure(figsize=(13, 8.5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(2, 2)
        figure.suptitle(title, parse_math=False)
        _fvu_curve(axes[0, 0], curve, fvu)
        _l0_curve(axes[0, 1], curve)
        _densities(axes[1, 0], density)
        _tasks(axes[1, 1], fvu_by_task, fvu)
        figure.savefig(path, dpi=80)


def _fvu_curve(axes: Axes, curve: Sequence[Mapping[str, float]], fvu: float) -> None:
    steps, values = [one["step"] for one in curve], [one["fvu"] for one in curve]
    axes.plot(steps, values, color=colours.BLUE, label="training batches")
    axes.axhline(fvu, color=colours.VERMILION, linestyle="--", label=f"held out, {fvu:.3f}")
    axes.set(yscale="log", xlabel="step", ylabel="FVU")
    axes.legend()
    axes.grid(alpha=0.3)


def _l0_curve(axes: Axes, curve: Sequence[Mapping[str, float]]) -> None:
    axes.plot([one["step"] for one in curve], [one["l0"] for one in curve], color=colours.GREEN)
    axes.set(xlabel="step", ylabel="active features per sample (L0)", ylim=(0, None))
    axes.grid(alpha=0.3)


def _densities(axes: Axes, density: np.ndarray) -> None:
    alive = density[density > 0]
    if len(alive):
        axes.hist(np.log10(alive), bins=40, color=colours.SKY, edgecolor="white")
    axes.set(xlabel="log10 of the share of inferences in which a feature fires", ylabel="features")
    axes.set_title(f"{len(alive)} of {len(density)} features fire", fontsize=13)


def _tasks(axes: Axes, fvu_by_task: Mapping[str, float], fvu: float) -> None:
    places = range(len(fvu_by_task))
    axes.barh(places, list(fvu_by_task.values()), color=colours.SKY)
    for place, name in zip(places, fvu_by_task, strict=True):
        # On the bars: beside them long instructions would take the room of the curves.
        axes.text(
            0.01,
            place,
            name or "no instruction",
            va="center",
            fontsize=10,
            clip_on=True,
            parse_math=False,  # an instruction is other people's text
            transform=axes.get_yaxis_transform(),
        )
    axes.axvline(fvu, color=colours.VERMILION, linestyle="--")
    axes.invert_yaxis()
    axes.set(xlabel="held-out FVU by task (dashed: all)", yticks=[])
