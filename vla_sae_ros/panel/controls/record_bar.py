"""The line with the record button, what the recording has come to, and remarks."""

from __future__ import annotations

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QWidget

from vla_sae_ros.panel.controls.record_words import dropped_text, recording_text
from vla_sae_ros.panel.state.connection import RecorderLink
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.views.view import Context
from vla_sae_ros.panel.widgets.elided import Elided
from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.panel.widgets.plain_text import PlainLabel

_RED = "background: #a81c00; color: white; padding: 2px 6px; font-weight: bold;"


class RecordBar(QWidget):
    """Start and stop a bag, and write remarks into it."""

    def __init__(self, context: Context) -> None:
        """Start without news of a recorder."""
        super().__init__()
        self._store, self._commands, self._tell = (
            context.store,
            context.client.commands,
            context.tell,
        )
        self._link = RecorderLink()
        self.button = QPushButton("● Record")
        self.button.setToolTip("Start or stop writing a bag (Ctrl+Shift+R)")
        self.button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.words, self.dropped = Elided(), PlainLabel()
        self.dropped.setStyleSheet(_RED)
        self.dropped.hide()
        self.remark = QLineEdit()
        self.remark.setPlaceholderText("Remark for the bag, e.g. grasp looked wrong   (Ctrl+M)")
        self.remark.setAccessibleName("Remark for the bag")
        self.remark.setClearButtonEnabled(True)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        for part, stretch in (
            (self.button, 0),
            (self.words, 3),
            (self.dropped, 0),
            (self.remark, 2),
        ):
            line.addWidget(part, stretch)
        self.button.clicked.connect(lambda _checked: self.toggle())
        self.remark.returnPressed.connect(self.mark)

    def refresh(self, store: Store, now: float) -> None:
        """Show the recorder's newest word."""
        recording = store.recording
        runs = recording is not None and recording.recording
        lost = self._link.lost(recording, now)
        failed = recording is not None and recording.status == "FAILED"
        self.words.show_text(recording_text(recording, lost), warning=lost or failed)
        text = dropped_text(recording)
        self.dropped.setVisible(bool(text))
        for widget, words in (
            (self.dropped, text),
            (self.button, "■ Stop recording" if runs else "● Record"),
        ):
            if widget.text() != words:
                widget.setText(words)

    @guarded()
    def toggle(self) -> None:
        """Start a bag, or close the one that is being written."""
        if self._store.recording is not None and self._store.recording.recording:
            self._commands.stop_recording()
        else:
            self._commands.start_recording()

    @guarded()
    def mark(self) -> None:
        """Publish the remark; the line is empty then, for the next one."""
        text = self.remark.text().strip()
        if not text:
            return
        self._commands.annotate(text, self._store.episode)
        recording = self._store.recording is not None and self._store.recording.recording
        self._tell(
            f"remark published: {text}"
            if recording
            else f"remark published, but NOTHING IS RECORDING: {text}",
            not recording,
        )
        self.remark.clear()

    @guarded()
    def write_remark(self) -> None:
        """Type a remark."""
        self.remark.setFocus(Qt.FocusReason.ShortcutFocusReason)
