"""The panel: one widget that brings everything together, one timer that drives it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from PyQt5.QtCore import QEvent, QSize, Qt, QTimer
from PyQt5.QtGui import QKeyEvent, QKeySequence, QResizeEvent
from PyQt5.QtWidgets import QShortcut, QVBoxLayout, QWidget

from vla_sae_ros.core.steering import Mode, Phase, Preset, Unit
from vla_sae_ros.panel.editing.bypass_key import BypassKey
from vla_sae_ros.panel.editing.editing import Editing
from vla_sae_ros.panel.editing.hand_keys import HandKeys
from vla_sae_ros.panel.editing.preset_files import PresetFiles
from vla_sae_ros.panel.editing.typed_line import condition_line, control_line
from vla_sae_ros.panel.frame.areas import Areas
from vla_sae_ros.panel.frame.cheat_sheet import CheatSheet
from vla_sae_ros.panel.frame.layout import Layout
from vla_sae_ros.panel.frame.shortcuts import SHORTCUTS, Shortcut
from vla_sae_ros.panel.frame.status_area import StatusArea
from vla_sae_ros.panel.frame.tools import Tools
from vla_sae_ros.panel.frame.view_list import VIEWS
from vla_sae_ros.panel.state.connection import Link
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.state.values import FeatureName
from vla_sae_ros.panel.table.delegates import MODES
from vla_sae_ros.panel.table.feature_table import FeatureTable
from vla_sae_ros.panel.table.legend import Legend
from vla_sae_ros.panel.table.table_model import FeatureTableModel, Filter
from vla_sae_ros.panel.views.view import Area, Client, Context, ViewSpec
from vla_sae_ros.panel.widgets.guard import MISHAPS, guarded
from vla_sae_ros.panel.widgets.note_line import NoteLine
from vla_sae_ros.panel.widgets.plainly import set_plainly

_FRAME_MS = 33
_NARROW = 42  # [line heights] no room for the views beside the table: 670 pixels as a rule
_SORT_PERIOD = 0.7  # [s]
_SPARK_PERIOD = 0.2  # [s] between two drawings of the sparklines: nobody sees more


class PanelWidget(QWidget):
    """One widget for the stand-alone window and for rqt."""

    def __init__(
        self, client: Client, parent: QWidget | None = None, views: tuple[ViewSpec, ...] = VIEWS
    ) -> None:
        """Show what `client` hears; send what the operator wants."""
        super().__init__(parent)
        self.setWindowTitle("VLA feature steering")
        self._client = client
        self.store = Store()
        self.model = FeatureTableModel(self.store, self)
        self.table = FeatureTable(self.model, self)
        self.editing = Editing(self.store, client.commands, self)
        self.tools = Tools(self.store.columns.template.ramp, client.commands.lease)
        self.status = StatusArea()
        self.note_line = NoteLine(MISHAPS)
        self.presets = PresetFiles(self, self.present, self.editing.apply_preset, self.tell)
        self._bypass_key = BypassKey(lambda on: self._set_bypass(on))
        context = Context(self.store, client, self.select, self.tell)
        self.areas = Areas(self.table, views, context)
        self._layout = Layout(self.areas, self.table, self.tools, self.store, self.presets)
        self._next_sort, self._next_sparks, self._settled = 0.0, 0.0, False
        self._unsorted = False
        self._table_had_focus = True
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._build()
        self._connect()
        self.hand_keys = HandKeys(self, client.commands)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.tick)
        self._timer.start(_FRAME_MS)
        self.tick()

    def sizeHint(self) -> QSize:
        """Open wide enough for every column."""
        metrics = self.fontMetrics()
        return QSize(metrics.height() * 80, metrics.height() * 46)

    def stop(self) -> None:
        """Take nothing more from the client."""
        self._timer.stop()

    @guarded()
    def tick(self) -> None:
        """Do one frame: take what has come, send what waits, repaint what is visible."""
        now = time.monotonic()
        self._client.commands.gui_alive()
        self._take(now)
        self.editing.send(now)
        self.hand_keys.send(self.store.takeover)
        self._show_status(now)
        self.areas.draw(self.store, now)

    def select(self, name: FeatureName) -> None:
        """Select a feature in the table, and for every view."""
        row = self.store.columns.row_of(name)
        if row is not None:
            self.store.selected = name
            self.table.select(row)

    def tell(self, text: str, warning: bool = False) -> None:
        """Show a line to the operator for some seconds."""
        self.note_line.tell(text, warning)

    def present(self, name: str) -> Preset:
        """Return the edits in force, of everybody, as a preset of this name."""
        view, catalogue = self.store.steering, self.store.catalogue
        edits = (
            tuple(each.edit for each in view.edits if each.phase is not Phase.RELEASING)
            if view
            else ()
        )
        sites = {edit.site for edit in edits}
        bundles = {
            site.name: bundle
            for site, bundle in zip(catalogue.sites, catalogue.bundle_ids, strict=False)
            if site.name in sites
        }
        return Preset(name, edits, bundles)

    @guarded()
    def release_all(self) -> None:
        """Release every edit at once, and send nothing of what still waits."""
        self.editing.release_all()

    @guarded()
    def undo(self) -> None:
        """Take the last edit back."""
        self.editing.stack.undo()

    @guarded()
    def redo(self) -> None:
        """Do it again."""
        self.editing.stack.redo()

    @guarded()
    def save_preset(self) -> None:
        """Save the edits in force as a file."""
        self.presets.save()

    @guarded()
    def load_preset(self) -> None:
        """Apply a file's edits."""
        self.presets.load()

    @guarded()
    def compare_preset(self) -> None:
        """Say how the edits in force differ from a file's."""
        self.presets.compare()

    @guarded()
    def toggle_takeover(self) -> None:
        """Take over from the policy, or hand back to it."""
        commands, takeover = self._client.commands, self.store.takeover
        mine = takeover is not None and takeover.taken_over and takeover.owner == commands.owner
        commands.take_over(not mine)

    @guarded()
    def show_keys(self) -> None:
        """Show the cheat sheet."""
        CheatSheet(self).show()

    def focus_search(self) -> None:
        """Type into the search."""
        self.tools.search.setFocus()
        self.tools.search.selectAll()

    def focus_table(self) -> None:
        """Move through the table by keys, from its first row on."""
        self.table.setFocus()
        # Qt gives a focused table a current cell of its own, which nobody chose.
        if not self.table.selectedIndexes() and self.model.rowCount():
            self.table.selectRow(self.table.rowAt(0))

    def filter_alive(self) -> None:
        """Show alive features only, or all."""
        self.tools.filters[Filter.ALIVE].toggle()

    def filter_general(self) -> None:
        """Show general features only, or all."""
        self.tools.filters[Filter.GENERAL].toggle()

    def filter_pinned(self) -> None:
        """Show pinned features only, or all."""
        self.tools.filters[Filter.PINNED].toggle()

    def filter_edited(self) -> None:
        """Show edited features only, or all."""
        self.tools.filters[Filter.EDITED].toggle()

    def toggle_right(self) -> None:
        """Hide or show the views to the right."""
        self.areas.toggle(Area.RIGHT)

    def toggle_bottom(self) -> None:
        """Hide or show the views below."""
        self.areas.toggle(Area.BOTTOM)

    def next_right(self) -> None:
        """Show the next view to the right."""
        self.areas.next(Area.RIGHT)

    def next_bottom(self) -> None:
        """Show the next view below."""
        self.areas.next(Area.BOTTOM)

    def save_layout(self) -> dict[str, Any]:
        """Return what is to be remembered, as plain values."""
        return self._layout.save()

    @guarded()
    def restore_layout(self, saved: dict[str, Any]) -> None:
        """Take what `save_layout` returned."""
        self._layout.restore(saved)

    @guarded()
    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space bypasses, wherever it does not type or press something."""
        if event.key() == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._bypass_key.press(self._bypassed, time.monotonic())
            return
        super().keyPressEvent(event)

    @guarded()
    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Space that was held ends the comparison."""
        if event.key() == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._bypass_key.release(time.monotonic())
            return
        super().keyReleaseEvent(event)

    @guarded()
    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave the room of a narrow window to the table."""
        self.areas.fold(event.size().width() < _NARROW * self.fontMetrics().height())
        super().resizeEvent(event)

    @guarded()
    def changeEvent(self, event: QEvent) -> None:
        """End a comparison when another window takes the keyboard."""
        if event.type() == QEvent.Type.ActivationChange and not self.isActiveWindow():
            self._bypass_key.interrupt()
        super().changeEvent(event)

    def _build(self) -> None:
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        for part in (self.status, *self.areas.bars, self.tools):
            whole.addWidget(part)
        whole.addWidget(self.areas, 1)
        whole.addWidget(Legend())
        whole.addWidget(self.note_line)
        menu = self.tools.presets.menu()
        assert menu is not None
        for words, slot in (
            ("Save…\tCtrl+S", self.save_preset),
            ("Load…\tCtrl+O", self.load_preset),
            ("Compare…\tCtrl+D", self.compare_preset),
        ):
            menu.addAction(words, slot)
        self.table.fit_columns()

    def _connect(self) -> None:
        tools, table = self.tools, self.table
        tools.search.textChanged.connect(self._on_search)
        tools.search.returnPressed.connect(self.focus_table)
        for which, button in tools.filters.items():
            button.toggled.connect(lambda on, f=which: self._on_filter(f, on))
        tools.template_chosen.connect(self._on_template)
        tools.lease.valueChanged.connect(self._on_lease)
        tools.mode.activated.connect(lambda _: self.table.setFocus())
        for box in (tools.ramp, tools.lease):  # Space bypasses again
            box.editingFinished.connect(self.table.setFocus)
        tools.undo.clicked.connect(lambda _: self.undo())
        tools.redo.clicked.connect(lambda _: self.redo())
        tools.bypass.clicked.connect(lambda _: self._set_bypass(not self._bypassed))
        tools.release.clicked.connect(lambda _: self.release_all())
        table.dragged.connect(self._on_dragged)
        table.committed.connect(self._on_committed)
        table.mode_chosen.connect(self._on_mode)
        table.condition_asked.connect(self._on_condition)
        table.control_asked.connect(self._on_control)
        table.released.connect(self._on_released)
        table.immovable.connect(self._on_immovable)
        table.pin_toggled.connect(self._on_pin)
        table.selected.connect(self._on_selected)
        self.editing.changed.connect(self._repaint)
        for shortcut in SHORTCUTS:
            if shortcut.action:
                self._add_shortcut(shortcut)
        table.setFocus()

    def _add_shortcut(self, shortcut: Shortcut) -> None:
        for keys in shortcut.keys.split(", "):
            made = QShortcut(QKeySequence(keys), self)
            made.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            made.setAutoRepeat(False)
            made.activated.connect(lambda s=shortcut: self._perform(s))

    @guarded()
    def _perform(self, shortcut: Shortcut) -> None:
        target = self.areas.view(shortcut.view) if shortcut.view else self
        getattr(target, shortcut.action)()

    @guarded()
    def _on_search(self, text: str) -> None:
        self.model.set_search(text)

    @guarded()
    def _on_filter(self, which: Filter, on: bool) -> None:
        self.model.set_filter(which, on)

    @guarded()
    def _on_template(self) -> None:
        mode, unit = MODES[self.tools.mode.currentIndex()]
        self.store.columns.template = replace(
            self.store.columns.template, mode=mode, unit=unit, ramp=self.tools.ramp.value()
        )
        self._repaint()

    @guarded()
    def _on_lease(self, seconds: float) -> None:
        self._client.commands.lease = seconds

    @guarded()
    def _on_dragged(self, row: int, value: float) -> None:
        self.editing.drag(row, value, time.monotonic())

    @guarded()
    def _on_committed(self, row: int, value: float) -> None:
        self.editing.commit(row, value)

    @guarded()
    def _on_mode(self, row: int, mode: Mode, unit: Unit) -> None:
        self.editing.set_mode(row, mode, unit)

    @guarded()
    def _on_condition(self, row: int) -> None:
        site, feature = self.store.columns.name_of(row)
        condition_line(
            self,
            f"{site} #{feature}",
            self.store.columns.edit_to_begin(row).when,
            lambda when: self.editing.set_condition(row, when),
            lambda why: self.tell(why, True),
        )

    @guarded()
    def _on_control(self, row: int) -> None:
        site, feature = self.store.columns.name_of(row)
        control_line(
            self,
            f"{site} #{feature}",
            self.store.columns.edit_to_begin(row).control,
            lambda control: self.editing.set_control(row, control),
            lambda why: self.tell(why, True),
        )

    @guarded()
    def _on_released(self, row: int) -> None:
        self.editing.release([self.store.columns.name_of(row)])

    @guarded()
    def _on_immovable(self, row: int) -> None:
        site, feature = self.store.columns.name_of(row)
        self.tell(
            f"{site} #{feature} has no slider to move: its site cannot steer, it never fired in "
            "the bundle's data, or its mode takes no value (Enter).",
            True,
        )

    @guarded()
    def _on_pin(self, row: int) -> None:
        self.store.toggle_pin(self.store.columns.name_of(row))
        self._repaint()

    @guarded()
    def _on_selected(self, row: int) -> None:
        self.store.selected = self.store.columns.name_of(row)

    @guarded()
    def _repaint(self) -> None:
        self.table.draw()

    @property
    def _bypassed(self) -> bool:
        return self.store.steering is not None and self.store.steering.bypass

    @guarded()
    def _set_bypass(self, on: bool) -> None:
        self._client.commands.set_bypass(on)

    def _take(self, now: float) -> None:
        """Bring store and table up to date."""
        changes = self.store.take(self._client.incoming)
        if changes.catalogue:
            self.editing.forget()
            self.model.reset()
            self.table.fit_columns()
            self._settled = False
        for notice in changes.notices:
            self.tell(notice, True)
        for outcome in self._client.incoming.outcomes.take():
            self.editing.take_outcome(outcome)
            self.tell(outcome.text, not outcome.accepted)
        self._unsorted |= changes.any
        if self._unsorted:  # also when nothing comes any more: the last values are sorted, too
            self._sort(now)
        if changes.any:
            sparks = now >= self._next_sparks
            if sparks:
                self._next_sparks = now + _SPARK_PERIOD
            self.table.draw(sparks)

    def _sort(self, now: float) -> None:
        """Sort now and then. Under the pointer no row moves, once it has been sorted at all."""
        held = self.table.dragging or self._held_under_pointer
        if (now >= self._next_sort or not self._settled) and not held:
            self.model.reorder()
            self._unsorted = False
            self._next_sort = now + _SORT_PERIOD
            self._settled = self._settled or bool(self.store.newest)

    @property
    def _held_under_pointer(self) -> bool:
        return self._settled and self.table.under_pointer

    def _show_status(self, now: float) -> None:
        state = self.status.refresh(self.store, self._client, now)
        self._set_table_live(state.link is Link.LIVE)
        self.tools.show_bypass(self._bypassed)
        self.tools.undo.setEnabled(self.editing.stack.canUndo())
        self.tools.redo.setEnabled(self.editing.stack.canRedo())
        columns = self.store.columns
        beyond = f", {columns.beyond} active beyond the dictionary" if columns.beyond else ""
        held = ", order held under the pointer" if self._held_under_pointer else ""
        set_plainly(
            self.tools.count_label,
            f"{self.model.rowCount()} of {columns.size} features{beyond}{held}",
            "",
        )
        self.note_line.refresh(now)

    def _set_table_live(self, live: bool) -> None:
        """Grey out old values. Qt gives a disabled table's focus away: the window takes it, and
        gives it back, so that Space means bypass and not a space in the search."""
        if live == self.table.isEnabled():
            return
        if not live:
            self._table_had_focus = self.focusWidget() in (None, self.table)
        self.table.setEnabled(live)
        if not live and self._table_had_focus:
            self.setFocus()
        if live and self._table_had_focus:
            self.table.setFocus()
