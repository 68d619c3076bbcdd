"""What to run, as a form; the fields of RunEpisode.action."""

from __future__ import annotations

from PyQt5.QtWidgets import QGridLayout, QLineEdit, QSizePolicy, QWidget

from vla_sae_ros.panel.state.values import EpisodeGoal
from vla_sae_ros.panel.widgets.plain_text import PlainLabel
from vla_sae_ros.panel.widgets.quiet_boxes import QuietComboBox, QuietSpinBox

SUITES = ("libero_object", "libero_spatial", "libero_goal", "libero_10", "libero_90")
"""Suggestions: the bridge knows all that are installed, and refuses others by name."""

_CLOCKS = (("the bridge's", ""), ("lockstep", "lockstep"), ("realtime", "realtime"))
_LARGEST = 2**31 - 1


class EpisodeForm(QWidget):
    """Suite, task, initial state, seed, instruction, step limit and clock."""

    def __init__(self) -> None:
        """Start with task 0 of libero_object."""
        super().__init__()
        self.suite = QuietComboBox()
        self.suite.setEditable(True)
        self.suite.addItems(SUITES)
        self.task, self.init_state, self.seed = (QuietSpinBox(_LARGEST) for _ in range(3))
        self.max_steps = QuietSpinBox(_LARGEST, zero="the suite's")
        self.instruction = QLineEdit()
        self.instruction.setPlaceholderText("the task's own instruction")
        self.clock = QuietComboBox()
        for words, value in _CLOCKS:
            self.clock.addItem(words, value)
        self._of_simulation: list[QWidget] = []
        self._robot = False
        self._lay_out()

    def show_robot(self, robot: bool) -> None:
        """Leave out, on a robot, what only a simulation has: its task is the instruction."""
        if robot == self._robot:
            return
        self._robot = robot
        for widget in self._of_simulation:
            widget.setVisible(not robot)
        self.instruction.setPlaceholderText(
            "what the robot is to do" if robot else "the task's own instruction"
        )
        self.max_steps.setSpecialValueText("the bridge's" if robot else "the suite's")

    def goal(self) -> EpisodeGoal:
        """Return what the form says."""
        if self._robot:
            return EpisodeGoal(
                suite="",
                task=-1,
                init_state=-1,
                seed=self.seed.value(),
                instruction=self.instruction.text().strip(),
                max_steps=self.max_steps.value(),
            )
        return EpisodeGoal(
            suite=self.suite.currentText().strip(),
            task=self.task.value(),
            init_state=self.init_state.value(),
            seed=self.seed.value(),
            instruction=self.instruction.text().strip(),
            max_steps=self.max_steps.value(),
            clock=str(self.clock.currentData()),
        )

    def show_goal(self, goal: EpisodeGoal) -> None:
        """Fill the form."""
        self.suite.setCurrentText(goal.suite)
        for box, value in (
            (self.task, goal.task),
            (self.init_state, goal.init_state),
            (self.seed, goal.seed),
            (self.max_steps, goal.max_steps),
        ):
            box.setValue(min(max(value, 0), _LARGEST))
        self.instruction.setText(goal.instruction)
        self.clock.setCurrentIndex(max(self.clock.findData(goal.clock), 0))

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        fields = (
            ("&Suite", self.suite),
            ("&Task", self.task),
            ("&Initial state", self.init_state),
            ("S&eed", self.seed),
            ("I&nstruction", self.instruction),
            ("Step &limit", self.max_steps),
            ("&Clock", self.clock),
        )
        for row, (words, widget) in enumerate(fields):
            label = PlainLabel(words)
            label.setBuddy(widget)
            widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            widget.setMinimumWidth(40)
            grid.addWidget(label, row, 0)
            grid.addWidget(widget, row, 1)
            if widget in (self.suite, self.task, self.init_state, self.clock):
                self._of_simulation += [label, widget]
        grid.setColumnStretch(1, 1)
