"""How the edits in force differ from a preset's, in words. No Qt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from vla_sae_ros.core.steering import Condition, Control, Edit, Mode
from vla_sae_ros.panel.state.values import MODE_WORDS, UNIT_WORDS


def edit_text(edit: Edit) -> str:
    """Return what an edit does, in a few words."""
    if edit.mode is Mode.PROJECT_OUT:
        return MODE_WORDS[edit.mode]
    unit = "" if edit.mode is Mode.SCALE else f" {UNIT_WORDS[edit.unit]}"
    return f"{MODE_WORDS[edit.mode]} {edit.value:g}{unit}"


def differences(now: Iterable[Edit], preset: Iterable[Edit]) -> list[str]:
    """Return one line per feature that differs; none when the two are the same."""
    present, wanted = ({edit.key: edit for edit in edits} for edits in (now, preset))
    lines = []
    for key in sorted(present.keys() | wanted.keys()):
        where = f"{key[0]} #{key[1]}"
        if key not in wanted:
            lines.append(f"{where}: only now, {edit_text(present[key])}")
        elif key not in present:
            lines.append(f"{where}: only in the preset, {edit_text(wanted[key])}")
        elif changed := _changed(present[key], wanted[key]):
            lines.append(
                f"{where}: now {edit_text(present[key])}, in the preset "
                f"{edit_text(wanted[key])} (differs in {', '.join(changed)})"
            )
    return lines


def _changed(first: Edit, second: Edit) -> list[str]:
    """Return the names of the fields that differ; numbers are compared as float32 carries them."""
    return [
        field.name
        for field in fields(Edit)
        if not _same(getattr(first, field.name), getattr(second, field.name))
    ]


def _same(first: object, second: object) -> bool:
    if isinstance(first, float) and isinstance(second, float):
        return abs(first - second) <= 1e-5 * max(1.0, abs(first))
    if isinstance(first, tuple) and isinstance(second, tuple) and len(first) == len(second):
        return all(map(_same, first, second))
    if isinstance(first, Condition | Control) and type(first) is type(second):
        return all(map(_same, vars(first).values(), vars(second).values()))
    return first == second
