"""Lines in which an edit's condition or controller is typed, as presets say it."""

from __future__ import annotations

from collections.abc import Callable

from PyQt5.QtWidgets import QInputDialog, QWidget

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.steering import Condition, Control
from vla_sae_ros.core.steering.preset import line_of, parse_condition, parse_control
from vla_sae_ros.panel.widgets.guard import guarded

CONDITIONS = (
    "Act only while this condition is true; empty: always. For example\n"
    "{site: backbone.1, feature: 93, above: 0.5, for: 0.2, hysteresis: 0.1}\n"
    "{reading: height, below: 0.1}   readings: feature, step, height, gripper, state"
)
CONTROLS = (
    "Set the value so that a reading stays where it is wanted; empty: it stays. For example\n"
    "{reading: height, at: 0.25, kp: 4, ki: 8, bounds: [0, 1]}\n"
    "{site: backbone.1, feature: 93, at: 0.5, ki: 2, bounds: [-1, 1], slew: 2}"
)


class TypedLine[T: (Condition, Control)](QInputDialog):
    """Opens at once and blocks nothing: the arm goes on while somebody types.

    Args:
        parent: the window.
        title: of the line.
        examples: above it.
        present: what stands there at first.
        parse: reads what was typed; raises ConfigurationError.
        chosen: called with what was typed, None for nothing.
        refused: called with why it cannot be.
    """

    def __init__(
        self,
        parent: QWidget,
        title: str,
        examples: str,
        present: T | None,
        parse: Callable[[str], T],
        chosen: Callable[[T | None], None],
        refused: Callable[[str], None],
    ) -> None:
        super().__init__(parent)
        self._parse: Callable[[str], T] = parse
        self._chosen: Callable[[T | None], None] = chosen
        self._refused: Callable[[str], None] = refused
        self.setWindowTitle(title)
        self.setLabelText(examples)
        self.setTextValue(line_of(present))
        self.textValueSelected.connect(self._take)
        self.open()

    @guarded()
    def _take(self, text: str) -> None:
        try:
            typed = self._parse(text) if text.strip() else None
        except ConfigurationError as error:
            self._refused(str(error))
            return
        self._chosen(typed)


def condition_line(
    parent: QWidget,
    name: str,
    when: Condition | None,
    chosen: Callable[[Condition | None], None],
    refused: Callable[[str], None],
) -> TypedLine[Condition]:
    """Open the line for the condition of the edit of `name`."""
    title = f"When does {name} act?"
    return TypedLine(parent, title, CONDITIONS, when, parse_condition, chosen, refused)


def control_line(
    parent: QWidget,
    name: str,
    control: Control | None,
    chosen: Callable[[Control | None], None],
    refused: Callable[[str], None],
) -> TypedLine[Control]:
    """Open the line for the controller of the edit of `name`."""
    title = f"What does {name} keep?"
    return TypedLine(parent, title, CONTROLS, control, parse_control, chosen, refused)
