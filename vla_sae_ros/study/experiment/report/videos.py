"""Videos of a study for its page, plain and steered side by side, within a limit."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.study.experiment.measure.measured import MeasuredArm
from vla_sae_ros.study.experiment.records.table import Row


def page_films(folder: Path, arms: Sequence[MeasuredArm], limit: float) -> dict[str, Any]:
    """Read the videos of pairs of which both were kept, up to `limit` MB of the page.

    Returns {"arms": arm key -> [[pair, [twin's run id, caption], [run id, caption]], ...],
    "order": the arms' keys in the order of `arms`, "uris": run id -> data URI, "left_out": pairs
    over the limit}. Every arm's first pair comes before any arm's second.

    Raises:
        RecordingError: a video that the table names is gone.
    """
    queue = [
        (number, arm.key, row, twin)
        for arm in arms
        for number, (row, twin) in enumerate(_filmed(arm))
    ]
    queue.sort(key=lambda one: one[0])
    shown: dict[str, list[Any]] = {}
    uris: dict[str, str] = {}
    used, left_out = 0, 0
    for _, key, row, twin in queue:
        new = {
            one.run_id: _uri(folder / one.video) for one in (row, twin) if one.run_id not in uris
        }
        size = sum(map(len, new.values()))
        if used + size > limit * 1e6:
            left_out += 1
            continue
        used += size
        uris |= new
        sides = [[one.run_id, _caption(one)] for one in (twin, row)]
        shown.setdefault(key, []).append([row.pair, *sides])
    order = [arm.key for arm in arms if arm.key in shown]
    return {"arms": shown, "order": order, "uris": uris, "left_out": left_out}


def _filmed(arm: MeasuredArm) -> list[tuple[Row, Row]]:
    pairs = zip(arm.rows, arm.twins, strict=True)
    return [(row, twin) for row, twin in pairs if row.video and twin.video]


def _caption(row: Row) -> str:
    side = "plain" if row.arm == "none" else "steered"
    return f"{side}: {'success' if row.success else 'no success'}, {row.steps} steps"


def _uri(path: Path) -> str:
    try:
        return "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise RecordingError(
            f"Cannot read {path}: {error.strerror}. Run the study again: only missing files are "
            "made."
        ) from error
