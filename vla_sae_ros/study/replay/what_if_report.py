"""A what-if replay as a table, a CSV file and a picture of ||da|| over time."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from rich.console import Console
from rich.table import Table

from vla_sae_ros.sim.conventions import ACTION_NAMES, ROBOT_TYPE
from vla_sae_ros.study.plots import colours
from vla_sae_ros.study.replay.what_if import ComparedInference, WhatIf

TABLE, PICTURE = "what_if.csv", "what_if.png"


def print_what_if(console: Console, answer: WhatIf, robot_type: str) -> None:
    """Print one row per episode, counted from 1; `robot_type` as the contract has it."""
    for reason, count in answer.reasons.items():
        console.print(f"{count} not replayed: {reason}", highlight=False)
    table = Table(title="what if: actions against the recorded ones, open loop")
    for name in (
        "episode",
        "inferences",
        "changed",
        "mean ||da||",
        "largest ||da||",
        "at [s]",
        "moves most",
    ):
        table.add_column(name, justify="left" if name == "episode" else "right")
    for number, inferences in enumerate(answer.episodes().values(), 1):
        table.add_row(str(number), *_figures(inferences, robot_type))
    console.print(table)


def _figures(inferences: Sequence[ComparedInference], robot_type: str) -> tuple[str, ...]:
    distances = np.array([inference.distance for inference in inferences])
    worst = int(distances.argmax())
    changed = [inference for inference in inferences if inference.distance > 0]
    most = "-"
    if changed:
        mean = np.mean([inference.change for inference in changed], axis=0)
        axis = int(np.abs(mean).argmax())
        most = f"{action_names(len(mean), robot_type)[axis]} {mean[axis]:+.3f}"
    return (
        str(len(inferences)),
        str(len(changed)),
        f"{distances.mean():.4f}",
        f"{distances[worst]:.4f}",
        f"{inferences[worst].recorded.time:.2f}",
        most,
    )


def action_names(size: int, robot_type: str) -> tuple[str, ...]:
    """Return names of an action's numbers: LIBERO's are known, others are a0, a1, ..."""
    if robot_type == ROBOT_TYPE and size == len(ACTION_NAMES):
        return ACTION_NAMES
    return tuple(f"a{number}" for number in range(size))


def write_what_if(folder: Path, answer: WhatIf, robot_type: str) -> None:
    """Write TABLE, one row per inference, and PICTURE into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        size = len(answer.inferences[0].change) if answer.inferences else 0
        writer.writerow(
            [
                "episode_id",
                "chunk_id",
                "step",
                "time_s",
                "was_steered",
                "is_steered",
                "da_norm",
                *(f"da_{name}" for name in action_names(size, robot_type)),
            ]
        )
        for inference in answer.inferences:
            recorded = inference.recorded
            writer.writerow(
                [
                    recorded.episode_id,
                    recorded.chunk_id,
                    recorded.step,
                    f"{recorded.time:.3f}",
                    int(inference.was_steered),
                    int(inference.is_steered),
                    f"{inference.distance:.6g}",
                    *(f"{value:.6g}" for value in inference.change),
                ]
            )
    _draw(folder / PICTURE, answer)


def _draw(path: Path, answer: WhatIf) -> None:
    episodes = answer.episodes()
    with matplotlib.rc_context({"font.size": 13, "text.parse_math": False}):
        figure = Figure(
            figsize=(13, 1.5 + 3.2 * max(1, len(episodes))),
            dpi=100,
            layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1),
        )
        FigureCanvasAgg(figure)
        rows = figure.subplots(max(1, len(episodes)), 1, squeeze=False, sharex=True, sharey=True)
        for axes, (episode, inferences) in zip(rows[:, 0], episodes.items(), strict=False):
            _draw_episode(axes, inferences)
            axes.set_title(
                f"{episode}: “{inferences[0].recorded.instruction}”", fontsize=13, loc="left"
            )
            axes.legend(loc="upper right", framealpha=0.9)
        largest = max((inference.distance for inference in answer.inferences), default=0.0)
        rows[0, 0].set_ylim(0, 1.15 * largest or 1.0)
        rows[-1, 0].set_xlabel("time since the first observation [s]")
        figure.savefig(path, metadata={"Software": None})


def _draw_episode(axes: Axes, inferences: Sequence[ComparedInference]) -> None:
    time = np.array([inference.recorded.time for inference in inferences])
    order = np.argsort(time, kind="stable")
    distance = np.array([inference.distance for inference in inferences])
    end = np.append(time[order][1:], time[order][-1:] + 0.25)
    for name, colour, hatch, flags in (
        ("steering acted when recorded", "0.8", "//", [m.was_steered for m in inferences]),
        ("the other steering acts", colours.STEERING, None, [m.is_steered for m in inferences]),
    ):
        label: str | None = name
        for place, index in enumerate(order):
            if flags[index]:
                axes.axvspan(
                    time[index],
                    end[place],
                    facecolor=colour if hatch is None else "none",
                    edgecolor="0.6",
                    hatch=hatch,
                    linewidth=0,
                    alpha=0.6,
                    label=label,
                )
                label = None
    axes.step(
        time[order],
        distance[order],
        where="post",
        color=colours.BLUE,
        linewidth=2.2,
        marker="o",
        markersize=4,
        label="||da||, mean over the chunk",
    )
    axes.set_ylabel("||da||\n[action units]")
    axes.grid(alpha=0.3)
