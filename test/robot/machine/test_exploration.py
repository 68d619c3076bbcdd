"""The machine of states under every interleaving, and under every one of its parts taken out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from robot_exploration import Violated, explore

from vla_sae_ros.robot.machine.events import Kind
from vla_sae_ros.robot.machine.states import State
from vla_sae_ros.robot.machine.table import TABLE, Row

DEPTH = 6
MUTANTS_DEPTH = 7
"""The deepest mutant needs seven steps."""


def test_every_interleaving_up_to_the_depth_keeps_the_invariants() -> None:
    found = explore(depth=DEPTH)
    print(found)
    assert found.reached == set(State) and found.depth == DEPTH
    assert found.states > 5_000 and found.transitions > 30_000


def mutants() -> list[tuple[str, tuple[Row, ...]]]:
    """Return the table with each guard, effect and action taken out in turn."""
    made = []
    for place, row in enumerate(TABLE):
        for part in ("guards", "effects", "actions"):
            for each in getattr(row, part):
                left = tuple(other for other in getattr(row, part) if other is not each)
                rows = (*TABLE[:place], replace(row, **{part: left}), *TABLE[place + 1 :])
                states = "+".join(sorted(row.states)) if len(row.states) < len(State) else "any"
                name = getattr(each, "__name__", str(each))
                made.append((f"{states} {row.kind} without {name}", rows))
    return made


@pytest.mark.parametrize("rows", [pytest.param(rows, id=name) for name, rows in mutants()])
def test_a_machine_without_one_of_its_parts_is_caught(rows: tuple[Row, ...]) -> None:
    with pytest.raises(Violated):
        explore(rows, depth=MUTANTS_DEPTH)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind in {Kind.STOP, Kind.TROUBLE}])
def test_a_machine_that_does_not_stop_is_caught(kind: Kind) -> None:
    rows = tuple(replace(row, to=None) if row.kind is kind else row for row in TABLE)
    with pytest.raises(Violated):
        explore(rows, depth=MUTANTS_DEPTH)
