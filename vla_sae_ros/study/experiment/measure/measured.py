"""Every arm of a study against its plain twins: effects per pair, arm by arm."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vla_sae_ros.study.experiment.design.study_parts import WHOLE_EPISODE, Window
from vla_sae_ros.study.experiment.measure.effects import (
    EFFECTS,
    Effect,
    PairEffects,
    Seen,
    distance_to,
    pair_effects,
)
from vla_sae_ros.study.experiment.measure.open_loop_effects import (
    open_loop_effects,
    refuse_other_noise,
)
from vla_sae_ros.study.experiment.records.files import ActingSteps, Responses, TrackedPositions
from vla_sae_ros.study.experiment.records.table import Row
from vla_sae_ros.study.features.task_objects import task_objects

Floats = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class MeasuredArm:
    """One arm at one dose in one protocol.

    rows: its runs that have a plain twin, and twins: those, in the same order (in open loop one
    each). pairs: names of the pairs, the rows of `values`: the runs' `pair`, or episodes in open
    loop. values: (pairs, effects), NaN where a pair lacks an effect. approached: how often the hand
    came nearest to which object. lost: runs without a plain twin, which cannot be compared.
    """

    rows: tuple[Row, ...]
    twins: tuple[Row, ...]
    effects: tuple[Effect, ...]
    pairs: tuple[str, ...]
    values: Floats
    approached: Mapping[str, int]
    lost: int

    @property
    def row(self) -> Row:
        """Any of its runs: all have the same settings of the arm."""
        return self.rows[0]

    @property
    def key(self) -> str:
        """A name that no other arm of any protocol has."""
        return arm_key(self.row)

    @cached_property
    def means(self) -> Floats:
        """(effects,) mean over the pairs that have it, NaN where none has."""
        known = np.isfinite(self.values)
        count = known.sum(axis=0)
        total = np.where(known, self.values, 0.0).sum(axis=0)
        return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)

    @property
    def identical(self) -> int:
        """How many of its runs executed the very actions of their plain twins, to the bit."""
        return sum(
            one.actions_sha256 == twin.actions_sha256
            for one, twin in zip(self.rows, self.twins, strict=True)
        )

    def aligned(self, pairs: Sequence[str]) -> Floats:
        """Return the values (pairs, effects) of these pairs, NaN where one is not of this arm."""
        at = {name: number for number, name in enumerate(self.pairs)}
        found = np.full((len(pairs), len(self.effects)), np.nan)
        for number, name in enumerate(pairs):
            if name in at:
                found[number] = self.values[at[name]]
        return found


def arm_key(row: Row) -> str:
    """Return a name for a run's arm that no other arm of any protocol has."""
    return f"{row.protocol} {row.arm_name}"


def measure(
    folder: Path, rows: Sequence[Row], progress: Progress = lambda done, total: None
) -> list[MeasuredArm]:
    """Compare every run of P1 to P4 with its plain twin, each file read once per twin.

    Rollouts of all arms have the same effects in the same order; so have those in open loop.
    `progress` is called with (comparisons done, in all).

    Raises:
        RecordingError: a file is missing or damaged.
    """
    twins = {(row.protocol, row.pair): row for row in rows if row.arm == "none"}
    arms: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.arm != "none" and row.kind != "latency":
            arms[row.protocol, row.arm_name].append(row)
    comparisons = _Comparisons(folder, rows, twins, progress)
    return [
        made
        for group in arms.values()
        if (made := _measured(group, twins, comparisons)) is not None
    ]


def _measured(
    group: Sequence[Row], twins: Mapping[tuple[str, str], Row], compared: _Comparisons
) -> MeasuredArm | None:
    rows = tuple(row for row in group if (row.protocol, row.pair) in twins)
    if not rows:
        return None
    paired = tuple(twins[row.protocol, row.pair] for row in rows)
    lost = len(group) - len(rows)
    if rows[0].kind == "open_loop":
        effects, values = compared.open_loop(rows[0], paired[0])
        names = tuple(f"episode {number}" for number in range(len(values)))
        return MeasuredArm(rows, paired, effects, names, values, {}, lost)
    found = [
        compared.rollouts[row.run_id, twin.run_id] for row, twin in zip(rows, paired, strict=True)
    ]
    values = np.array(
        [[one.values.get(effect.name, np.nan) for effect in compared.effects] for one in found]
    )
    approached = Counter(one.approached for one in found if one.approached)
    return MeasuredArm(
        rows,
        paired,
        compared.effects,
        tuple(row.pair for row in rows),
        values,
        dict(approached.most_common()),
        lost,
    )


class _Comparisons:
    """All pairs of runs compared once, whatever protocols they serve."""

    def __init__(
        self,
        folder: Path,
        rows: Sequence[Row],
        twins: Mapping[tuple[str, str], Row],
        progress: Progress,
    ) -> None:
        self._folder = folder
        todo: dict[str, dict[str, tuple[Row, Row]]] = defaultdict(dict)
        for row in rows:
            twin = twins.get((row.protocol, row.pair))
            if twin is not None and row.arm != "none" and row.kind == "rollout":
                todo[twin.run_id][row.run_id] = (row, twin)
        total = sum(map(len, todo.values()))
        self.rollouts: dict[tuple[str, str], PairEffects] = {}
        things: set[str] = set()
        for pairs in todo.values():
            # One plain rollout in memory at a time, beside all that are compared with it.
            plain = self._seen(next(iter(pairs.values()))[1])
            names = plain.names
            things.update(names)
            for row, twin in pairs.values():
                named = task_objects(row.task_instruction, names)
                self.rollouts[row.run_id, twin.run_id] = pair_effects(
                    plain, self._seen(row), (twin.success, row.success), named, self._span(row)
                )
                progress(len(self.rollouts), total)
        self.effects = (*EFFECTS, *(distance_to(name) for name in sorted(things)))

    def _seen(self, row: Row) -> Seen:
        return Seen(TrackedPositions.load(self._folder / row.file))

    def _span(self, row: Row) -> tuple[int, int] | None:
        window = Window(row.window_event, row.window_from, row.window_to)
        if window == WHOLE_EPISODE and not (row.condition or row.control):
            return None
        return ActingSteps.load(self._folder / row.file).span()

    def open_loop(self, row: Row, twin: Row) -> tuple[tuple[Effect, ...], Floats]:
        """Return the effects and (episodes, effects) of one pass over the observations."""
        plain = Responses.load(self._folder / twin.file)
        answered = Responses.load(self._folder / row.file)
        if row.arm != "noise":  # the arm that answers from other noise seeds on purpose
            refuse_other_noise(plain, answered)
        found = open_loop_effects(plain, answered, row.env)
        return tuple(found), np.column_stack([*found.values()])
