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
    draw([json.loads(line) for line in lines]).savefig(sys.argv[2], dpi=110)
    return 0


def draw(results: list[dict[str, Any]]) -> Figure:
    """Return one row per arm: the share at recorded observations, coverage, own episodes."""
    matplotlib.rcParams["font.size"] = 9
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    share, coverage, own = figure.subplots(1, 3, sharey=True)
    arms = [arm for arm in NAMES if any(one["arm"] == arm for one in results)]
    for row, result in rows(results, arms):
        marker = {"marker": SEEDS[result["seed"] % len(SEEDS)], "linestyle": "none"}
        values = [100 * value for value in result["expert.1"]["values"]]
        share.plot(values, [row] * len(values), color=BLUE, alpha=0.3, **marker)
        share.plot(100 * result["expert.1"]["value"], row, color=BLUE, **marker)
        for colour, site in ((BLUE, "expert.1"), (ORANGE, "backbone.1")):
            label = site if result is results[0] else None
            coverage.plot(100 * result[site]["coverage"], row, color=colour, label=label, **marker)
        if closed_loop := result.get("closed_loop"):
            for colour, kind in ((GREEN, "succeeded"), (VERMILION, "failed")):
                label = f"that {kind}" if result is results[0] else None
                own.plot(
                    100 * closed_loop["expert.1"][kind], row, color=colour, label=label, **marker
                )
    describe(share, "General features of expert.1 [%],\nsame recorded observations")
    describe(coverage, "Mean episode coverage [%],\nsame recorded observations")
    describe(own, "General features of expert.1 [%],\nown episodes")
    coverage.legend(loc="center", fontsize=8)
    own.legend(loc="center right", fontsize=8)
    share.set_yticks(range(len(arms)), [NAMES[arm] for arm in arms])
    share.invert_yaxis()
    share.set_xlim(left=0)
    share.set_xlabel("faint: each of three SAEs; full: their mean", fontsize=8)
    coverage.set_xlabel("mean of three SAEs; circles: seed 0, squares: 1, triangles: 2", fontsize=8)
    own.set_xlabel("one SAE; episodes apart by outcome", fontsize=8)
    return figure


def rows(results: list[dict[str, Any]], arms: list[str]) -> Iterator[tuple[float, dict[str, Any]]]:
    """Give every result its height: an arm's seeds are side by side."""
    for result in results:
        seeds = sorted(one["seed"] for one in results if one["arm"] == result["arm"])
        middle = (len(seeds) - 1) / 2
        yield arms.index(result["arm"]) + APART * (seeds.index(result["seed"]) - middle), result


def describe(axes: Axes, title: str) -> None:
    """Set title and grid."""
    axes.set_title(title, fontsize=9)
    axes.grid(axis="both", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    sys.exit(main())
