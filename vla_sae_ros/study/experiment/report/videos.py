"""Videos of a study for its page, plain and steered side by side, within a limit."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.study.experiment.measured import MeasuredArm
from vla_sae_ros.study.experiment.report.wording import say_arm
from vla_sae_ros.study.experiment.table import Row


@dataclass(frozen=True)
class Film:
    """A steered run beside its plain twin; each side is (run id, caption)."""

    title: str
    pair: str
    arm: str
    plain: tuple[str, str]
    steered: tuple[str, str]


@dataclass(frozen=True)
class Films:
    """What fits. uris: run id -> data URI. left_out: pairs over the limit."""

    shown: tuple[Film, ...]
    uris: dict[str, str]
    left_out: int


def page_films(folder: Path, arms: Sequence[MeasuredArm], limit: float) -> Films:
    """Read the videos of every pair of which both were kept, up to `limit` MB of the page.

    Raises:
        RecordingError: a video that the table names is gone.
    """
    pairs = [(row, twin, arm) for arm in arms
             for row, twin in zip(arm.rows, arm.twins, strict=True) if row.video and twin.video]
    # Every arm's first film before any arm's second.
    ranks: dict[str, int] = {}
    ranked = []
    for row, twin, arm in pairs:
        ranks[arm.key] = ranks.get(arm.key, 0) + 1
        ranked.append((ranks[arm.key], row, twin, arm))
    shown: list[Film] = []
    uris: dict[str, str] = {}
    used, left_out = 0, 0
    for _, row, twin, arm in sorted(ranked, key=lambda one: one[0]):
        new = {one.run_id: _uri(folder / one.video) for one in (row, twin)
               if one.run_id not in uris}
        size = sum(map(len, new.values()))
        if used + size > limit * 1e6:
            left_out += 1
            continue
        used += size
        uris |= new
        shown.append(Film(say_arm(row), row.pair, arm.key, (twin.run_id, _caption(twin)),
                          (row.run_id, _caption(row))))
    return Films(tuple(shown), uris, left_out)


def _caption(row: Row) -> str:
    side = "plain" if row.arm == "none" else "steered"
    return f"{side}: {'success' if row.success else 'no success'}, {row.steps} steps"


def _uri(path: Path) -> str:
    try:
        return "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise RecordingError(
            f"Cannot read {path}: {error.strerror}. Run the study again: only what is missing is "
            "made anew."
        ) from error
