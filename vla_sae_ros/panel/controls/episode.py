"""The view from which episodes are started and a robot is enabled."""

from __future__ import annotations

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from vla_sae_ros.panel.controls.episode_form import EpisodeForm
from vla_sae_ros.panel.controls.robot_controls import RobotControls
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.state.values import EpisodeGoal, EpisodeView
from vla_sae_ros.panel.views.view import Context
from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.panel.widgets.plain_text import PlainLabel

_NOBODY = "No bridge offers episodes: vla-sae up sim starts one."


class EpisodePane(QScrollArea):
    """Run what the form says; cancel with the button here or with STOP."""

    def __init__(self, context: Context) -> None:
        """Start with the form's own values; the first episode that is heard of fills it."""
        super().__init__()
        self._store, self._commands = context.store, context.client.commands
        self._filled = False
        self.form, self.robot = EpisodeForm(), RobotControls(context)
        self.run = QPushButton("&Run  [Ctrl+R]")
        self.cancel = QPushButton("Cancel")
        self.progress, self.words = QProgressBar(), PlainLabel()
        self.telling, self.tell = QLineEdit(), QPushButton("&Tell")
        self._build()
        self.telling.returnPressed.connect(self._tell)
        self.tell.clicked.connect(lambda _checked: self._tell())
        self.run.clicked.connect(lambda _checked: self.start())
        self.cancel.clicked.connect(lambda _checked: self._cancel())

    def refresh(self, store: Store, now: float) -> None:
        """Show how the episode stands and what can be done."""
        offered = self._commands.can_run_episodes
        episode = store.episode
        running = episode is not None and episode.running
        for widget, enabled in (
            (self.run, offered and not running),
            (self.cancel, running),
            (self.form, offered and not running),
            (self.telling, running),
            (self.tell, running),
        ):
            if widget.isEnabled() != enabled:
                widget.setEnabled(enabled)
        self.robot.refresh(store)
        self.form.show_robot(self._commands.offers("bridge/enable"))
        if episode is not None and episode.suite and not self._filled:
            self._filled = True
            self.form.show_goal(_goal_of(episode))
        self._show_progress(episode)
        words = episode_words(episode) if offered or episode is not None else _NOBODY
        if self.words.text() != words:
            self.words.setText(words)

    @guarded()
    def start(self) -> None:
        """Ask for the episode of the form; the bridge refuses a second one while one runs."""
        self.refresh(self._store, 0.0)
        self._commands.run_episode(self.form.goal())

    @guarded()
    def _tell(self) -> None:
        """Tell the policy of the episode that runs what the line says."""
        episode, text = self._store.episode, self.telling.text().strip()
        if episode is not None and episode.running and text:
            self._commands.tell(text, episode.episode_id)
            self.telling.clear()

    @guarded()
    def _cancel(self) -> None:
        self._commands.cancel_episode()

    def _show_progress(self, episode: EpisodeView | None) -> None:
        most = episode.max_steps if episode is not None else 0
        step = episode.step if episode is not None else 0
        if (self.progress.maximum(), self.progress.value()) != (max(most, 1), min(step, most)):
            self.progress.setMaximum(max(most, 1))
            self.progress.setValue(min(step, most))
            self.progress.setFormat(f"step {step} of {most}" if most else f"step {step}")
        self.progress.setTextVisible(episode is not None and bool(episode.episode_id))

    def _make_line(self) -> QHBoxLayout:
        self.telling.setPlaceholderText("another instruction, while it runs")
        self.telling.setAccessibleName("Another instruction")
        self.tell.setToolTip(
            "The next inference uses it; the task's success condition stays the same"
        )
        line = QHBoxLayout()
        line.addWidget(self.telling, 1)
        line.addWidget(self.tell)
        return line

    def _build(self) -> None:
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.progress.setFormat("")
        buttons = QHBoxLayout()
        buttons.addWidget(self.run, 1)
        buttons.addWidget(self.cancel)
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(6, 4, 6, 4)
        # What one must reach at once stands first: in a low window the rest is scrolled to.
        column.addWidget(self.robot)
        column.addLayout(buttons)
        column.addLayout(self._make_line())
        column.addWidget(self.progress)
        column.addWidget(self.words)
        column.addWidget(self.form)
        column.addStretch(1)
        self.setWidget(body)


def episode_words(episode: EpisodeView | None) -> str:
    """Return how the episode stands, in some lines."""
    if episode is None or not episode.episode_id:
        return "No episode has run yet."
    lines = [
        f"{episode.status}: {episode.instruction}" if episode.instruction else episode.status,
        episode.detail,
    ]
    counts = {
        "missed deadlines": episode.missed_deadlines,
        "held ticks": episode.held_ticks,
        "dropped chunks": episode.dropped_chunks,
    }
    lines.append(", ".join(f"{count} {name}" for name, count in counts.items() if count))
    return "\n".join(filter(None, lines))


def _goal_of(episode: EpisodeView) -> EpisodeGoal:
    return EpisodeGoal(episode.suite, episode.task, max(episode.init_state, 0), episode.seed)
