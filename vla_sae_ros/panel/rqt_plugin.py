"""The panel inside rqt. The only file that imports rqt, which a ROS install brings."""

from __future__ import annotations

import json
from typing import Any

from qt_gui.plugin import Plugin

from vla_sae_ros.panel.frame.window import PanelWidget
from vla_sae_ros.panel.ros.ros_client import RosClient
from vla_sae_ros.panel.widgets.guard import MISHAPS


class SteeringPanel(Plugin):
    """Wires the panel's widget to rqt's node, which rqt itself spins."""

    def __init__(self, context: Any) -> None:
        """Add the widget to the rqt window."""
        super().__init__(context)
        self.setObjectName("VlaSteeringPanel")
        self._client = RosClient(context.node)
        self._widget = PanelWidget(self._client)
        self._widget.setObjectName("VlaSteeringPanelUi")
        if context.serial_number() > 1:
            self._widget.setWindowTitle(f"{self._widget.windowTitle()} ({context.serial_number()})")
        context.add_widget(self._widget)

    def shutdown_plugin(self) -> None:
        """Leave rqt's node as it was found."""
        self._widget.stop()
        self._client.close()

    def save_settings(self, plugin_settings: Any, instance_settings: Any) -> None:
        """Remember the layout in rqt's perspective."""
        instance_settings.set_value("layout", json.dumps(self._widget.save_layout()))

    def restore_settings(self, plugin_settings: Any, instance_settings: Any) -> None:
        """Take the perspective's layout; one that cannot be read is left aside and logged."""
        try:
            layout = json.loads(instance_settings.value("layout", "{}"))
        except (TypeError, ValueError) as error:
            MISHAPS.note("restore_settings", error)
            return
        self._widget.restore_layout(layout)
