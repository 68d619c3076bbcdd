"""A line in which the condition of an edit is typed, as presets and the command line say it."""

from __future__ import annotations

from collections.abc import Callable

from PyQt5.QtWidgets import QInputDialog, QWidget

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.steering import Condition
from vla_sae_ros.core.steering.preset import condition_text, parse_condition
from vla_sae_ros.panel.widgets.guard import guarded

EXAMPLES = (
    "Act only while this condition is true; empty: always. For example\n"
    "{site: backbone.1, feature: 93, above: 0.5, for: 0.2, hysteresis: 0.1}\n"
    "{reading: height, below: 0.1}   readings: feature, step, height, gripper, state"
)


class ConditionLine(QInputDialog):
    """Opens at once and blocks nothing: the arm goes on while somebody types.

    Args:
        parent: the window.
        name: whose edit it is.
        when: its present condition.
        chosen: called with what was typed.
        refused: called with why it cannot be.
    """

    def __init__(
        self,
        parent: QWidget,
        name: str,
        when: Condition | None,
        chosen: Callable[[Condition | None], None],
        refused: Callable[[str], None],
    ) -> None:
        super().__init__(parent)
        self._chosen, self._refused = chosen, refused
        self.setWindowTitle(f"When does {name} act?")
        self.setLabelText(EXAMPLES)
        self.setTextValue(condition_text(when))
        self.textValueSelected.connect(self._take)
        self.open()

    @guarded()
    def _take(self, text: str) -> None:
        try:
            when = parse_condition(text) if text.strip() else None
        except ConfigurationError as error:
            self._refused(str(error))
            return
        self._chosen(when)
