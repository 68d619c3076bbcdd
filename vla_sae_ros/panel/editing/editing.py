"""What the operator edits: drags, numbers, modes, presets, and the way back from each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from PyQt5.QtCore import QObject, pyqtSignal
from PyQt5.QtWidgets import QUndoCommand, QUndoStack

from vla_sae_ros.core.steering import Condition, Control, Edit, Mode, Preset, Unit, format_preset
from vla_sae_ros.panel.editing.outbox import Outbox
from vla_sae_ros.panel.ros.commands import Commands
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.state.values import FeatureName, RequestResult

State = Mapping[FeatureName, Edit | None]
"""Edits by feature; None = no edit."""


class Editing(QObject):
    """Turns hands' movements into requests; every finished one can be undone."""

    changed = pyqtSignal()
    """Something is shown differently now."""

    def __init__(self, store: Store, commands: Commands, parent: QObject | None = None) -> None:
        """Send by `commands`, show as wishes in `store` until the policy confirms."""
        super().__init__(parent)
        self._store, self._commands = store, commands
        self._outbox = Outbox(commands)
        self._before: dict[FeatureName, Edit | None] = {}
        self.stack = QUndoStack(self)

    def send(self, now: float) -> None:
        """Send what waits, if it is time; once a frame."""
        self._outbox.send(now)

    def drag(self, row: int, value: float, now: float) -> None:
        """Ask for a value while a slider moves."""
        edit = replace(self._store.columns.edit_to_begin(row), value=value, ramp=self._ramp)
        self._before.setdefault(edit.key, self._store.columns.edit_of(row))
        self._store.columns.wish(row, edit)
        self._outbox.put(edit)
        self._outbox.send(now)
        self.changed.emit()

    def commit(self, row: int, value: float) -> None:
        """Ask for a final value: the last one of a drag, or a typed one."""
        self.set_edit(row, replace(self._store.columns.edit_to_begin(row), value=value))

    def set_mode(self, row: int, mode: Mode, unit: Unit) -> None:
        """Change what an edit does, so that nothing jumps.

        Another unit keeps the value; another mode begins where it changes nothing, except
        project out, and a clamp in a unit whose scale only the policy knows: that begins at 0.
        """
        columns = self._store.columns
        old = columns.edit_of(row)
        new = replace(columns.edit_to_begin(row), mode=mode, unit=unit)
        value = columns.natural_value(row, new)
        if old is not None and old.mode is mode and math.isfinite(columns.per_unit(row, old)):
            value = old.value * columns.per_unit(row, old) / columns.per_unit(row, new)
        self.set_edit(
            row, replace(new, value=float(f"{value:.4g}") if math.isfinite(value) else 0.0)
        )

    def set_condition(self, row: int, when: Condition | None) -> None:
        """Let the edit of a row, or the one that a drag would begin, act only while this holds."""
        self.set_edit(row, replace(self._begun(row), when=when))

    def set_control(self, row: int, control: Control | None) -> None:
        """Let the value of the edit of a row, or of the one that a drag would begin, be set so."""
        self.set_edit(row, replace(self._begun(row), control=control))

    def _begun(self, row: int) -> Edit:
        """Return the edit of a row, or the one that a drag would begin where it changes nothing."""
        columns = self._store.columns
        edit = columns.edit_of(row)
        if edit is not None:
            return edit
        begun = columns.edit_to_begin(row)
        value = columns.natural_value(row, begun)
        return replace(begun, value=value if math.isfinite(value) else 0.0)

    def set_edit(self, row: int, edit: Edit) -> None:
        """Ask for an edit of a row."""
        columns = self._store.columns
        edit = replace(edit, ramp=self._ramp)
        before = self._before.pop(edit.key, columns.edit_of(row))
        self._outbox.drop(edit.key)
        self._push({edit.key: before}, {edit.key: edit}, f"{edit.site} #{edit.feature}")

    def release(self, names: Sequence[FeatureName]) -> None:
        """Ramp these features back to natural."""
        before = self._present(names)
        for name in names:
            self._outbox.drop(name)
        if before:
            self._push(before, dict.fromkeys(before), "release")

    def release_all(self) -> None:
        """Release every edit of everybody at once, and send nothing of what still waits."""
        before = self._present(self.standing())
        self._outbox.clear()
        self._before.clear()
        for name in before:
            self._wish(name, None)
        ticket = self._commands.reset()
        if before and ticket:
            self.stack.push(_Step(self, before, dict.fromkeys(before), "release all", ticket))
        self.changed.emit()

    def apply_preset(self, preset: Preset) -> None:
        """Set a preset's edits and release every other edit of this panel."""
        wanted: dict[FeatureName, Edit | None] = {edit.key: edit for edit in preset.edits}
        others = [
            name
            for name in self.standing()
            if name not in wanted and self._owner_of(name) == self._commands.owner
        ]
        before = {**dict.fromkeys(wanted), **self._present([*wanted, *others])}
        for key in before:
            self._wish(key, wanted.get(key))
        ticket = self._commands.apply_preset(
            format_preset(preset.name, preset.edits, preset.bundles)
        )
        if ticket:
            after = {**dict.fromkeys(others), **wanted}
            self.stack.push(_Step(self, before, after, f"preset {preset.name}", ticket))
        self.changed.emit()

    def forget(self) -> None:
        """The features are others now: nothing can be undone or sent any more."""
        self._outbox.clear()
        self._before.clear()
        self.stack.clear()

    def take_outcome(self, outcome: RequestResult) -> None:
        """A refused request is shown as what the policy says, and leaves no step to undo."""
        if outcome.accepted:
            return
        self._store.columns.forget_wishes()
        top = self.stack.command(self.stack.index() - 1)
        if outcome.ticket and isinstance(top, _Step) and top.ticket == outcome.ticket:
            top.refused = True
            self.stack.undo()
        self.changed.emit()

    def standing(self) -> list[FeatureName]:
        """Return the features whose edit is in force or asked for, not being released."""
        columns = self._store.columns
        return [
            columns.name_of(row)
            for row in np.flatnonzero(columns.edited()).tolist()
            if columns.edit_of(row) is not None
        ]

    def go_to(self, state: State, words: str) -> int:
        """Ask for a whole set of edits in one request; return its ticket."""
        edits = [edit for edit in state.values() if edit is not None]
        standing = set(self.standing())
        leaving = [name for name, edit in state.items() if edit is None and name in standing]
        for name, edit in state.items():
            self._wish(name, edit)
        self.changed.emit()
        if not edits and not leaving:
            return 0
        return self._commands.steer(edits, leaving, self._ramp, words)

    @property
    def _ramp(self) -> float:
        return self._store.columns.template.ramp

    def _owner_of(self, name: FeatureName) -> str:
        """Return who owns the edit of a feature; one that waits for its answer is this panel's."""
        row = self._store.columns.row_of(name)
        standing = None if row is None else self._store.columns.edits.get(row)
        return self._commands.owner if standing is None else standing.owner

    def _present(self, names: Sequence[FeatureName]) -> dict[FeatureName, Edit | None]:
        found: dict[FeatureName, Edit | None] = {}
        for name in names:
            row = self._store.columns.row_of(name)
            edit = None if row is None else self._store.columns.edit_of(row)
            if edit is not None:
                found[name] = edit
        return found

    def _wish(self, name: FeatureName, edit: Edit | None) -> None:
        row = self._store.columns.row_of(name)
        if row is not None:
            self._store.columns.wish(row, edit)

    def _push(self, before: State, after: State, words: str) -> None:
        ticket = self.go_to(after, words)
        if ticket:
            self.stack.push(_Step(self, before, after, words, ticket))


class _Step(QUndoCommand):
    """One step: a state before and one after; it was done before it was pushed."""

    def __init__(
        self, editing: Editing, before: State, after: State, words: str, ticket: int
    ) -> None:
        super().__init__(words)
        self._editing, self._before, self._after = editing, before, after
        self._done = True
        self.ticket, self.refused = ticket, False

    def redo(self) -> None:
        if not self._done:
            self.ticket = self._editing.go_to(self._after, f"redo {self.text()}")
        self._done = False

    def undo(self) -> None:
        if self.refused:
            self.setObsolete(True)
            return
        self._editing.go_to(self._before, f"undo {self.text()}")
