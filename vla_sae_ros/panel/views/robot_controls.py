"""Enable and recover, where a robot's bridge is there."""

from __future__ import annotations

from PyQt5.QtWidgets import QGroupBox, QHBoxLayout, QPushButton

from vla_sae_ros.panel.guard import guarded
from vla_sae_ros.panel.view import Context


class RobotControls(QGroupBox):
    """Shown only while the services exist; the stop button stands in the bar above."""

    def __init__(self, context: Context) -> None:
        """Start hidden."""
        super().__init__("Robot")
        self._commands = context.client.commands
        self.enable, self.hold = QPushButton("&Enable motion"), QPushButton("&Hold still")
        self.recover = QPushButton("Reco&ver")
        line = QHBoxLayout(self)
        for button, slot in ((self.enable, lambda: self._enable(True)),
                             (self.hold, lambda: self._enable(False)),
                             (self.recover, self._recover)):
            line.addWidget(button)
            button.clicked.connect(lambda _checked, call=slot: call())
        self.hide()

    def refresh(self) -> None:
        """Show what is offered."""
        for service, buttons in (("bridge/enable", (self.enable, self.hold)),
                                 ("bridge/recover", (self.recover,))):
            offered = self._commands.offers(service)
            for button in buttons:
                if button.isHidden() == offered:
                    button.setVisible(offered)
        there = not (self.enable.isHidden() and self.recover.isHidden())
        if self.isHidden() == there:
            self.setVisible(there)

    @guarded()
    def _enable(self, enable: bool) -> None:
        self._commands.enable_bridge(enable)

    @guarded()
    def _recover(self) -> None:
        self._commands.recover_bridge()
