"""Enable and recover, where a robot's bridge is there, and how the robot stands."""

from __future__ import annotations

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QGroupBox, QPushButton, QSizePolicy, QVBoxLayout

from vla_sae_ros.panel.controls.robot_words import robot_counts, robot_words
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.views.view import Context
from vla_sae_ros.panel.widgets.flow import Flow
from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.panel.widgets.inks import CAUTION, GOOD, NEUTRAL, WARNING
from vla_sae_ros.panel.widgets.plain_text import PlainLabel
from vla_sae_ros.panel.widgets.plainly import set_plainly

_STYLES = {"OFFLINE": CAUTION, "disabled": NEUTRAL, "ENABLED": GOOD, "STOPPED": WARNING}


class RobotControls(QGroupBox):
    """Shown only while the services exist; the stop button stands in the bar above."""

    def __init__(self, context: Context) -> None:
        """Start hidden."""
        super().__init__("Robot")
        self._commands = context.client.commands
        self.enable, self.hold = QPushButton("&Enable motion"), QPushButton("&Hold still")
        self.recover = QPushButton("Reco&ver")
        self.state = PlainLabel()
        self.state.setTextFormat(Qt.TextFormat.PlainText)
        self.state.setWordWrap(True)
        self.state.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        column, line = QVBoxLayout(self), Flow()
        column.setContentsMargins(6, 2, 6, 2)
        column.setSpacing(4)
        column.addWidget(self.state)
        column.addLayout(line)
        for button, slot in (
            (self.enable, lambda: self._enable(True)),
            (self.hold, lambda: self._enable(False)),
            (self.recover, self._recover),
        ):
            line.addWidget(button)
            button.clicked.connect(lambda _checked, call=slot: call())
        self.hide()

    def refresh(self, store: Store) -> None:
        """Show what is offered and how the robot stands."""
        for service, buttons in (
            ("bridge/enable", (self.enable, self.hold)),
            ("bridge/recover", (self.recover,)),
        ):
            offered = self._commands.offers(service)
            for button in buttons:
                if button.isHidden() == offered:
                    button.setVisible(offered)
        there = not (self.enable.isHidden() and self.recover.isHidden())
        if self.isHidden() == there:
            self.setVisible(there)
        robot = store.robot
        style = _STYLES.get(robot.status, "") if robot is not None else NEUTRAL
        set_plainly(self.state, robot_words(robot), f"{style} padding: 4px;")
        self.state.setToolTip(robot_counts(robot))

    @guarded()
    def _enable(self, enable: bool) -> None:
        self._commands.enable_bridge(enable)

    @guarded()
    def _recover(self) -> None:
        self._commands.recover_bridge()
