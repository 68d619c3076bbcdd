"""Time to analyse a study of 20,000 rollouts and write its page.

    python bench/study_analysis.py [--rollouts 20000]

Rows are made up: features at three strengths and ten random rows per strength, on 30 pairs. They
share 300 files of LIBERO's size (280 steps, 7 objects), so the disk is fast and reading them is not
free; making them is not counted. A run also counts by itself, so all rollouts are compared.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from vla_sae_ros.study.experiment.measure.analysis import Analysis
from vla_sae_ros.study.experiment.measure.findings import find
from vla_sae_ros.study.experiment.measure.measured import measure
from vla_sae_ros.study.experiment.measure.verdicts import verdicts
from vla_sae_ros.study.experiment.records.files import Trajectory
from vla_sae_ros.study.experiment.records.table import FILES_FOLDER, Row, read_table, write_table
from vla_sae_ros.study.experiment.report.study_page import write_study_page

FILES, STEPS, OBJECTS, PAIRS = 300, 280, 7, 30
STRENGTHS, RANDOM_ROWS = (0.25, 0.5, 1.0), 10


def write_files(folder: Path) -> list[str]:
    """Write rollouts of random walks; return their paths in the study."""
    (folder / FILES_FOLDER).mkdir()
    generator = np.random.default_rng(0)
    names = [f"{FILES_FOLDER}/{number}.npz" for number in range(FILES)]
    inferences = STEPS // 5
    for name in names:
        walk = np.cumsum(generator.normal(0, 0.003, (STEPS + 1, 3)), axis=0)
        made = Trajectory(
            np.array(20.0),
            walk,
            np.zeros((STEPS + 1, 4)),
            generator.uniform(0, 0.08, STEPS + 1),
            generator.normal(0, 1, (STEPS, 7)).astype(np.float32),
            np.array([f"thing_{i}" for i in range(OBJECTS)]),
            generator.normal(0, 0.1, (STEPS + 1, OBJECTS, 3)),
            np.zeros((STEPS + 1, OBJECTS), bool),
            np.arange(inferences) * 5,
            np.ones(inferences, np.float32),
            np.zeros(inferences, bool),
            np.array(["expert.1"]),
            np.array([80]),
            np.zeros((inferences, 1), np.float32),
            np.zeros((inferences, 1), np.float32),
        )
        (folder / name).write_bytes(made.to_bytes())
    return names


def rows(rollouts: int, names: list[str]) -> Iterator[Row]:
    """Yield the plain rollouts, the random rows, and as many features as make up the number."""
    features = (rollouts // PAIRS - 1) // len(STRENGTHS) - RANDOM_ROWS
    number = 0
    for pair in range(PAIRS):
        said = "pick up the thing and place it in the basket"
        plain = Row(
            "",
            "bench",
            "P2",
            "rollout",
            "none",
            "none",
            "policy",
            "sae",
            "",
            (),
            "",
            "",
            "",
            -1,
            "",
            "",
            0.0,
            "start",
            0,
            -1,
            "",
            f"libero_object {pair % 3} {pair}",
            "libero_object",
            str(pair % 3),
            said,
            said,
            pair,
            pair,
            0,
            0.0,
            "",
            bool(pair % 2),
            STEPS,
            "",
            0.0,
            0.0,
            0.0,
            "",
            "",
            2.0,
            "host",
            1,
            "0",
        )
        arms = [plain] + [
            replace(
                plain,
                arm=arm,
                arm_name=f"{arm} {i} {strength}",
                site="expert.1",
                features=(i,) if arm == "feature" else (),
                direction=f"row:{i}",
                mode="add",
                unit="residual_norm",
                strength=strength,
                dose=f"expert.1 add {strength}",
                label="rising" if i % 2 else "",
            )
            for strength in STRENGTHS
            for arm, count in (("feature", features), ("random_row", RANDOM_ROWS))
            for i in range(count)
        ]
        for row in arms:
            number += 1
            yield replace(
                row,
                run_id=f"{number:016x}",
                file=names[number * 7 % FILES],
                actions_sha256=str(number),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=20_000)
    wanted = parser.parse_args().rollouts
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_table(folder, list(rows(wanted, write_files(folder))))
        clock, started = [time.perf_counter()], time.process_time()
        table = read_table(folder)
        clock.append(time.perf_counter())
        arms = measure(folder, table)
        clock.append(time.perf_counter())
        found = find(arms)
        clock.append(time.perf_counter())
        judged = tuple(verdicts(found, "P2"))
        clock.append(time.perf_counter())
        page = folder / "report.html"
        write_study_page(
            page, Analysis(folder, tuple(table), tuple(arms), tuple(found), judged, ()), 20.0
        )
        clock.append(time.perf_counter())
        parts = zip(
            ("table", "comparing", "statistics", "trends", "page"), np.diff(clock), strict=True
        )
        print(
            f"{len(table)} rollouts, {len(judged)} features: {clock[-1] - clock[0]:.0f} s, "
            f"{time.process_time() - started:.0f} s of processor time"
        )
        print(", ".join(f"{part} {seconds:.1f} s" for part, seconds in parts))
        print(f"page {page.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
