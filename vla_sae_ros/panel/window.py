"""The panel: status, search, the table of features, bypass and release."""

from __future__ import annotations

import time
from collections import deque
from typing import Protocol

from PyQt5.QtCore import QSize, Qt, QTimer
from PyQt5.QtGui import QKeySequence
from PyQt5.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QShortcut,
    QVBoxLayout,
    QWidget,
)

from vla_sae_ros.panel.connection import Link, link_state
from vla_sae_ros.panel.elided import Elided
from vla_sae_ros.panel.feature_table import FeatureTable
from vla_sae_ros.panel.guard import MISHAPS, guarded
from vla_sae_ros.panel.legend import Legend
from vla_sae_ros.panel.mailbox import Inbox, Mailbox
from vla_sae_ros.panel.outbox import EditSink, Outbox
from vla_sae_ros.panel.status_lines import episode_text, link_text, steering_text
from vla_sae_ros.panel.table_model import FeatureTableModel
from vla_sae_ros.panel.values import (
    Activations,
    CatalogueView,
    EpisodeView,
    FeatureName,
    Outcome,
    SteeringView,
)

_FRAME_MS = 33
_SORT_PERIOD = 0.7  # [s]
_NOTE_SECONDS = 8.0

_STYLES = {
    Link.WAITING: "background: #8a8a8a; color: white; padding: 5px;",
    Link.LIVE: "background: #00664b; color: white; padding: 5px;",
    Link.LOST: "background: #a81c00; color: white; padding: 9px; font-weight: bold;",
}


class Client(EditSink, Protocol):
    """What the panel needs of its connection; RosClient is one."""

    owner: str
    catalogues: Mailbox[str, CatalogueView]
    activations: Mailbox[str, Activations]
    steering: Mailbox[str, SteeringView]
    episodes: Mailbox[str, EpisodeView]
    outcomes: Inbox[Outcome]
    last_heard: float | None
    feature_messages: int

    def gui_alive(self) -> None:
        """Hear that the GUI still runs."""

    def release(self, names: list[FeatureName]) -> bool:
        """Ramp features back to natural."""

    def set_bypass(self, bypass: bool) -> bool:
        """Switch all edits off or on again."""

    def reset(self) -> bool:
        """Release every edit."""


class PanelWidget(QWidget):
    """One widget for the stand-alone window and for rqt."""

    def __init__(self, client: Client, parent: QWidget | None = None) -> None:
        """Show what `client` hears; send what the operator wants."""
        super().__init__(parent)
        self.setWindowTitle("VLA feature steering")
        self._client = client
        self._outbox = Outbox(client)
        self._steering: SteeringView | None = None
        self._episode: EpisodeView | None = None
        self._newest: Activations | None = None
        self._policy = ""
        self._arrivals: deque[tuple[float, int]] = deque(maxlen=90)
        self._next_sort = 0.0
        self._note_until = 0.0
        self._table_had_focus = True
        self.model = FeatureTableModel(self)
        self.table = FeatureTable(self.model, self)
        self._build()
        self._connect()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.tick)
        self._timer.start(_FRAME_MS)
        self._show_status(time.monotonic())

    def sizeHint(self) -> QSize:
        """Open wide enough for every column."""
        return QSize(1180, 720)

    def stop(self) -> None:
        """Take nothing more from the client."""
        self._timer.stop()

    @guarded()
    def tick(self) -> None:
        """Do one frame: take what has come, send what waits, repaint what is visible."""
        now = time.monotonic()
        self._client.gui_alive()
        changed = self._take_messages()
        self._take_outcomes(now)
        self._outbox.send(now)
        self._show_status(now)
        may_sort = not self.table.dragging and not self.table.under_pointer
        if changed and now >= self._next_sort and may_sort:
            self.model.reorder()
            self._next_sort = now + _SORT_PERIOD
        if changed:
            self.model.refresh(*self.table.visible_rows())

    @guarded()
    def toggle_bypass(self) -> None:
        """Ask for the opposite of what the policy reported last."""
        self._client.set_bypass(not (self._steering is not None and self._steering.bypass))

    @guarded()
    def release_all(self) -> None:
        """Release every edit at once, and send nothing of what still waits."""
        self._outbox.clear()
        self.model.columns.forget_wishes()
        self._client.reset()

    def _build(self) -> None:
        self.link_line = QLabel()
        self.link_line.setWordWrap(True)
        self.episode_line, self.steering_line, self.note_line = (Elided() for _ in range(3))
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search site, number, label or class   (Ctrl+F)")
        self.search.setClearButtonEnabled(True)
        self.bypass_button = QPushButton("Bypass  [Space]")
        self.bypass_button.setCheckable(True)
        self.release_button = QPushButton("Release all  [Esc]")
        for button in (self.bypass_button, self.release_button):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.count_label = QLabel()
        top = QHBoxLayout()
        top.setSpacing(10)
        top.addWidget(self.search, 1)
        top.addWidget(self.count_label)
        top.addWidget(self.bypass_button)
        top.addWidget(self.release_button)
        lines = QVBoxLayout()
        lines.setContentsMargins(8, 6, 8, 6)
        lines.addWidget(self.episode_line)
        lines.addWidget(self.steering_line)
        lines.addLayout(top)
        for part in (self.table, Legend(), self.note_line):
            lines.addWidget(part)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.link_line)
        whole.addLayout(lines, 1)

    def _connect(self) -> None:
        self.search.textChanged.connect(self._on_search)
        self.table.dragged.connect(self._on_dragged)
        self.table.committed.connect(self._on_committed)
        self.table.released.connect(self._on_released)
        self.bypass_button.clicked.connect(lambda _checked: self.toggle_bypass())
        self.release_button.clicked.connect(lambda _checked: self.release_all())
        for key, slot in (
            (Qt.Key.Key_Space, self.toggle_bypass),
            (Qt.Key.Key_Escape, self.release_all),
            (QKeySequence.StandardKey.Find, self.search.setFocus),
        ):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.setAutoRepeat(False)
            shortcut.activated.connect(slot)
        self.table.setFocus()

    @guarded()
    def _on_search(self, text: str) -> None:
        self.model.set_search(text)

    @guarded()
    def _on_dragged(self, row: int, value: float) -> None:
        self._ask(row, value, urgent=False)

    @guarded()
    def _on_committed(self, row: int, value: float) -> None:
        self._ask(row, value, urgent=True)

    def _ask(self, row: int, value: float, urgent: bool) -> None:
        self.model.columns.wish(row, value)
        self._outbox.put(self.model.columns.name_of(row), value)
        self._outbox.send(time.monotonic(), urgent)
        self.model.refresh(*self.table.visible_rows())

    @guarded()
    def _on_released(self, row: int) -> None:
        name = self.model.columns.name_of(row)
        self._outbox.drop(name)
        self.model.columns.drop_wish(row)
        self._client.release([name])

    def _take_messages(self) -> bool:
        """Bring the model up to date; return whether anything came."""
        changed = False
        for catalogue in self._client.catalogues.take().values():
            self.model.set_catalogue(catalogue)
            self._outbox.clear()
            self._policy, self._newest, changed = catalogue.policy_id, None, True
            if self._steering is not None:
                self.model.columns.set_steering(self._steering)
        for view in self._client.steering.take().values():
            self.model.columns.set_steering(view)
            self._steering, changed = view, True
        for message in self._client.activations.take().values():
            self.model.columns.set_activations(message)
            self._newest, changed = message, True
        for episode in self._client.episodes.take().values():
            self._episode = episode
        return changed

    def _take_outcomes(self, now: float) -> None:
        for outcome in self._client.outcomes.take():
            if not outcome.accepted:
                self.model.columns.forget_wishes()
                self.model.refresh(*self.table.visible_rows())
                self._show_note(outcome.text, now, warning=True)
            elif not self.note_line.warning:
                self._show_note(outcome.text, now, warning=False)
        if now > self._note_until and not MISHAPS.count:
            self.note_line.show_text("")

    def _show_note(self, text: str, now: float, warning: bool) -> None:
        self.note_line.show_text(text, warning)
        self._note_until = now + _NOTE_SECONDS

    def _show_status(self, now: float) -> None:
        state = link_state(now, self._client.last_heard)
        self._arrivals.append((now, self._client.feature_messages))
        (start, first), (end, last) = self._arrivals[0], self._arrivals[-1]
        rate = (last - first) / max(end - start, 1e-3)
        self._set(self.link_line, link_text(state, rate, self._policy), _STYLES[state.link])
        self._set_table_live(state.link is Link.LIVE)
        self.episode_line.show_text(episode_text(self._episode))
        self.steering_line.show_text(
            steering_text(self._steering, self._newest, self._client.owner))
        self._show_bypass()
        shown, columns = self.model.rowCount(), self.model.columns
        unlisted = f", {columns.unlisted} active but not listed" if columns.unlisted else ""
        frozen = ", order held under the pointer" if self.table.under_pointer else ""
        self._set(self.count_label, f"{shown} of {columns.size} features{unlisted}{frozen}", "")
        if MISHAPS.count:
            self.note_line.show_text(
                f"{MISHAPS.count} internal errors, the last: {MISHAPS.last}", warning=True)

    def _set_table_live(self, live: bool) -> None:
        """Grey out old values. Qt gives a disabled table's focus away: take it back afterwards,
        so that Space means bypass and not a space in the search."""
        if live == self.table.isEnabled():
            return
        if not live:
            self._table_had_focus = self.table.hasFocus()
        self.table.setEnabled(live)
        if live and self._table_had_focus:
            self.table.setFocus()

    def _show_bypass(self) -> None:
        on = self._steering is not None and self._steering.bypass
        self.bypass_button.setChecked(on)
        text = "BYPASSED: no edit acts  [Space]" if on else "Bypass  [Space]"
        style = "background: #E69F00; color: black; font-weight: bold;" if on else ""
        self._set(self.bypass_button, text, style)

    @staticmethod
    def _set(widget: QLabel | QPushButton, text: str, style: str) -> None:
        """Change a widget only when it differs: a style sheet costs a layout."""
        if widget.text() != text:
            widget.setText(text)
        if widget.styleSheet() != style:
            widget.setStyleSheet(style)
