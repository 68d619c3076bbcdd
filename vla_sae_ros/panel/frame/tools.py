"""The rows above the table: search and filters; what a new edit is; undo, presets, bypass."""

from __future__ import annotations

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtWidgets import (
    QLineEdit,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from vla_sae_ros.panel.table.delegates import MODES, mode_words
from vla_sae_ros.panel.table.table_model import Filter
from vla_sae_ros.panel.widgets.flow import Flow, spring
from vla_sae_ros.panel.widgets.inks import CAUTION
from vla_sae_ros.panel.widgets.plain_text import PlainLabel
from vla_sae_ros.panel.widgets.plainly import set_plainly
from vla_sae_ros.panel.widgets.quiet_boxes import QuietComboBox, QuietSeconds

LONGEST_RAMP, LONGEST_LEASE = 60.0, 60.0  # [s]


class Tools(QWidget):
    """Widgets only; the window connects them."""

    template_chosen = pyqtSignal()
    """Mode, unit or ramp of new edits was changed."""

    def __init__(self, ramp: float, lease: float) -> None:
        """Show these [s] to begin with."""
        super().__init__()
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search site, #number, label or class   (Ctrl+F)")
        self.search.setClearButtonEnabled(True)
        self.count_label = PlainLabel()
        self.filters = {which: _toggle(which.value.capitalize()) for which in Filter}
        self.mode = QuietComboBox()
        self.mode.addItems([mode_words(*each) for each in MODES])
        self.mode.setToolTip("What a newly dragged slider does")
        self.ramp = QuietSeconds(0.0, LONGEST_RAMP, ramp)
        self.ramp.setToolTip("Time from the present to the wanted value, and back")
        self.lease = QuietSeconds(1.0, LONGEST_LEASE, lease)
        self.lease.setToolTip("How long this panel's edits outlive the panel")
        self.undo, self.redo = _button("Undo"), _button("Redo")
        self.presets = QToolButton()
        self.presets.setText("Presets")
        self.presets.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.presets.setMenu(QMenu(self.presets))
        self.presets.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.bypass = _toggle("Bypass  [Space]")
        self.release = _button("Release all  [Esc]")
        self._lay_out()
        self.mode.currentIndexChanged.connect(lambda _: self.template_chosen.emit())
        self.ramp.valueChanged.connect(lambda _: self.template_chosen.emit())

    def show_bypass(self, on: bool) -> None:
        """Show what the policy reports."""
        self.bypass.setChecked(on)
        set_plainly(
            self.bypass,
            "BYPASSED: no edit acts  [Space]" if on else "Bypass  [Space]",
            f"{CAUTION} font-weight: bold; padding: 4px 10px;" if on else "",
        )

    def _lay_out(self) -> None:
        first, second = Flow(), Flow()
        first.addWidget(self.search)
        first.addWidget(self.count_label)
        for button in self.filters.values():
            first.addWidget(button)
        for words, widget in (("New edits", self.mode), ("ramp", self.ramp), ("lease", self.lease)):
            second.addWidget(PlainLabel(words))
            second.addWidget(widget)
        second.addWidget(spring())
        for each in (self.undo, self.redo, self.presets, self.bypass, self.release):
            second.addWidget(each)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(8, 4, 8, 4)
        whole.setSpacing(5)
        for row in (first, second):
            whole.addLayout(row)


def _button(text: str) -> QPushButton:
    button = QPushButton(text)
    metrics = button.fontMetrics()
    button.setMinimumWidth(metrics.horizontalAdvance(text) + metrics.averageCharWidth() * 3)
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return button


def _toggle(text: str) -> QPushButton:
    button = _button(text)
    button.setCheckable(True)
    return button
