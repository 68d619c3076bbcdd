"""Draw the study of data and generality, as docs/findings.md shows it.

    python tools/plot_data_and_generality.py docs/data_and_generality.jsonl out/generality.png

The file has one result of tools/data_and_generality.py per line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vla_sae_ros.study.plots.colours import BLUE, GREEN, ORANGE, VERMILION

NAMES = {
    "start": "start, not fine-tuned",
    "1x20": "1 task, 20 layouts",
    "3x5": "3 tasks, 5 layouts",
    "3x20": "3 tasks, 20 layouts",
    "3x80": "3 tasks, 80 layouts",
    "10x20": "10 tasks, 20 layouts",
    "3x20_insulated": "3 x 20, backbone insulated",
    "3x20_shuffled": "3 x 20, pictures of other layouts",
}
SEEDS = "os^"
"""Marker of each seed."""
APART = 0.16
"""Between the seeds of an arm, in rows."""


def main() -> int:
    """Write the picture."""
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    with matplotlib.rc_context({"font.size": 9}):
        draw([json.loads(line) for line in lines]).savefig(sys.argv[2], dpi=110)
    return 0


def draw(results: list[dict[str, Any]]) -> Figure:
    """Return one row per arm: shares and coverage at recorded observations, own episodes."""
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    backbone, expert, coverage, own = figure.subplots(1, 4, sharey=True)
    arms = [arm for arm in NAMES if any(one["arm"] == arm for one in results)]
    for row, result in rows(results, arms):
        marker = {"marker": SEEDS[result["seed"] % len(SEEDS)], "linestyle": "none"}
        first = result is results[0]
        values = [100 * value for value in result["backbone.1"]["values"]]
        backbone.plot(values, [row] * len(values), color=ORANGE, alpha=0.3, **marker)
        backbone.plot(100 * result["backbone.1"]["value"], row, color=ORANGE, **marker)
        expert.plot(100 * result["expert.1"]["at_proposed_onset"], row, color=BLUE, **marker)
        for colour, site in ((ORANGE, "backbone.1"), (BLUE, "expert.1")):
            value = 100 * result[site]["coverage"]
            coverage.plot(value, row, color=colour, label=site if first else None, **marker)
        if closed_loop := result.get("closed_loop"):
            for colour, kind in ((GREEN, "succeeded"), (VERMILION, "failed")):
                value = 100 * closed_loop["expert.1"][kind]
                own.plot(value, row, color=colour, label=kind if first else None, **marker)
    describe(backbone, "General features of backbone.1 [%]", "faint: each of three SAEs")
    describe(expert, "General features of expert.1 [%]", "onset threshold of each SAE's own")
    describe(coverage, "Mean episode coverage [%]", "circles: seed 0, squares: 1, triangles: 2")
    describe(own, "General features of expert.1 [%]", "own episodes that")
    coverage.legend(loc="center", fontsize=8)
    own.legend(loc="center right", fontsize=8)
    backbone.set_yticks(range(len(arms)), [NAMES[arm] for arm in arms])
    backbone.set_xlim(left=0)
    backbone.invert_yaxis()
    return figure


def rows(results: list[dict[str, Any]], arms: list[str]) -> Iterator[tuple[float, dict[str, Any]]]:
    """Give every result its height: an arm's seeds are side by side."""
    for result in results:
        seeds = sorted(one["seed"] for one in results if one["arm"] == result["arm"])
        middle = (len(seeds) - 1) / 2
        yield arms.index(result["arm"]) + APART * (seeds.index(result["seed"]) - middle), result


def describe(axes: Axes, title: str, detail: str) -> None:
    """Set title, what else is to be known, and the grid."""
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(detail, fontsize=8)
    axes.grid(axis="both", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    sys.exit(main())
