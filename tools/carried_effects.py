"""What steered features do in each kind of scene.

    vla-sae evaluate config/studies/other_scenes.yaml
    python tools/carried_effects.py out/studies/other_scenes out/studies/other_scenes_whole

Prints, for every study, kind of scene and feature: the effect that the feature's name predicts with
its 95 % BCa interval over pairs, how far 95 % of the random decoder rows of the same strength reach
there, in how many pairs the effect has the named sign, and how many rollouts are solved with and
without the edit. A line per study and feature follows for all scenes together.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vla_sae_ros.core.errors import RecordingError, VlaSaeError
from vla_sae_ros.study.experiment.measure.findings import ArmEffects, find
from vla_sae_ros.study.experiment.measure.measured import MeasuredArm, measure
from vla_sae_ros.study.experiment.measure.predictions import prediction
from vla_sae_ros.study.experiment.records.table import Row, read_table

ALL = "all scenes"
SEPARATOR = "  "
COLUMNS = (
    "scene",
    "feature",
    "strength",
    "effect",
    "mean [mm]",
    "95 % [mm]",
    "random rows reach [mm]",
    "pairs with the named sign",
    "solved plain",
    "solved steered",
    "random rows solved",
)


def scene(row: Row) -> str:
    """Return the kind of scene of a run: its suite, and how far its objects were moved."""
    return f"{row.suite}, moved by up to {row.moved_m:g} m" if row.moved_m else row.suite


def by_scene(rows: Sequence[Row]) -> Mapping[str, list[Row]]:
    """Return the runs of each kind of scene in the order of the table, and all of them."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[scene(row)].append(row)
    if len(found) > 1:
        found[ALL] = list(rows)
    return found


def solved(rows: Sequence[Row]) -> str:
    """Return how many rollouts succeeded, and of how many."""
    return f"{sum(row.success for row in rows)} of {len(rows)}"


def line(where: str, one: ArmEffects, arms: Sequence[MeasuredArm]) -> tuple[str, ...] | None:
    """Return the columns of one feature at one strength; None where its name predicts nothing."""
    row = one.arm.row
    predicted = prediction(row.label)
    if predicted is None or (found := one.of(predicted.effect)) is None:
        return None
    if found.effect.unit != "m":
        return None
    values = one.arm.values[:, one.arm.effects.index(found.effect)]
    wanted = predicted.expected(row)
    rows = [
        run
        for arm in arms
        if arm.row.arm == "random_row" and arm.row.dose == row.dose
        for run in arm.rows
    ]
    reach = f"{1000 * found.bar.height:.0f} ({found.bar.rows} rows)" if found.bar.rows else ""
    return (
        where,
        f"{','.join(map(str, row.features))} {row.label}",
        f"{row.strength:+g}",
        found.effect.name,
        f"{1000 * found.mean:+.0f}",
        f"{1000 * found.low:+.0f} to {1000 * found.high:+.0f}",
        reach,
        f"{int((np.sign(values) == wanted).sum())} of {int(np.isfinite(values).sum())}",
        solved(one.arm.twins),
        solved(one.arm.rows),
        solved(rows) if rows else "",
    )


def table(folder: Path) -> list[tuple[str, ...]]:
    """Return the lines of a study.

    Raises:
        RecordingError: no table, or a damaged file.
    """
    lines = []
    for where, rows in by_scene(read_table(folder)).items():
        arms = measure(folder, rows)
        for one in find(arms):
            if one.arm.row.arm == "feature" and (columns := line(where, one, arms)) is not None:
                lines.append(columns)
    if not lines:
        raise RecordingError(
            f"{folder} has no feature whose name predicts where the hand goes. Name features in "
            "the study file, as config/studies/other_scenes.yaml does."
        )
    return lines


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("studies", nargs="+", type=Path, help="folders of vla-sae evaluate")
    args = parser.parse_args()
    try:
        for folder in args.studies:
            lines = table(folder)
            print(f"\n{folder}")
            for columns in (COLUMNS, *lines):
                print(SEPARATOR.join(columns))
    except VlaSaeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
