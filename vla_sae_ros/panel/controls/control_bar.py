"""The line that is always there: stop, record, remark."""

from __future__ import annotations

from PyQt5.QtWidgets import QHBoxLayout, QWidget

from vla_sae_ros.panel.controls.record_bar import RecordBar
from vla_sae_ros.panel.controls.stop_button import StopButton
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.views.view import Context


class ControlBar(QWidget):
    """The stop button beside the record bar."""

    def __init__(self, context: Context) -> None:
        """Put them side by side."""
        super().__init__()
        self.stop, self.record = StopButton(context), RecordBar(context)
        line = QHBoxLayout(self)
        line.setContentsMargins(8, 2, 8, 2)
        line.addWidget(self.stop)
        line.addWidget(self.record, 1)

    def stop_now(self) -> None:
        """Stop the robot, or the episode in simulation."""
        self.stop.stop()

    def toggle_recording(self) -> None:
        """Start a bag, or close the one that is being written."""
        self.record.toggle()

    def write_remark(self) -> None:
        """Type a remark."""
        self.record.write_remark()

    def refresh(self, store: Store, now: float) -> None:
        """Show the present state."""
        self.stop.refresh(store)
        self.record.refresh(store, now)
