"""P5: what an inference costs without hooks, with them, and while steering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vla_sae_ros.study.experiment.measure.measured import arm_key
from vla_sae_ros.study.experiment.records.files import Latency
from vla_sae_ros.study.experiment.records.table import Row


@dataclass(frozen=True)
class ArmLatency:
    """One arm of P5.

    kind: none, zero or feature. arm: its key. median, p99, readout: [ms] per inference. ratio: the
    median over that without hooks. restored, answers_after: see Latency.
    """

    kind: str
    arm: str
    count: int
    median: float
    p99: float
    readout: float
    ratio: float | None
    restored: bool
    answers_after: int


def latencies(folder: Path, rows: Sequence[Row]) -> list[ArmLatency]:
    """Return each arm's latencies.

    Raises:
        RecordingError: a damaged file.
    """
    measured = [(row, Latency.load(folder / row.file)) for row in rows if row.protocol == "P5"]
    base = [float(np.median(one.milliseconds)) for row, one in measured if row.arm == "none"]
    found = []
    for row, one in measured:
        median, p99 = np.percentile(one.milliseconds, (50, 99)).tolist()
        found.append(
            ArmLatency(
                row.arm,
                arm_key(row),
                len(one.milliseconds),
                median,
                p99,
                float(np.median(one.readout_milliseconds))
                if len(one.readout_milliseconds)
                else 0.0,
                median / base[0] if base else None,
                bool(one.restored),
                int(one.answers_after),
            )
        )
    return found
