"""The button that stops what moves: the robot, or the episode in simulation."""

from __future__ import annotations

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QPushButton

from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.views.view import Context
from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.panel.widgets.inks import WARNING

_ROBOT, _EPISODE, _NEITHER = "STOP ROBOT", "STOP EPISODE", "STOP"


class StopButton(QPushButton):
    """Always there and always enabled."""

    def __init__(self, context: Context) -> None:
        """Stand ready."""
        super().__init__()
        self._commands, self._tell = context.client.commands, context.tell
        self.setStyleSheet(f"QPushButton {{ {WARNING} font-weight: bold; padding: 4px 12px; }}")
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setToolTip("Stops the robot at once; in simulation, cancels the episode (F12, Ctrl+.)")
        self.ensurePolished()
        widths = []
        for words in (_ROBOT, _EPISODE, _NEITHER):
            self._show(words)
            widths.append(self.sizeHint().width())
        # Whatever it says, nothing beside it moves to where it was.
        self.setMinimumWidth(max(widths))
        self.clicked.connect(lambda _checked: self.stop())

    def refresh(self, store: Store) -> None:
        """Say what would be stopped."""
        running = store.episode is not None and store.episode.running
        if self._commands.offers("bridge/stop"):
            self._show(_ROBOT)
        else:
            self._show(_EPISODE if running else _NEITHER)

    @guarded()
    def stop(self) -> None:
        """Stop the robot where there is one, else the episode."""
        if self._commands.offers("bridge/stop"):
            self._commands.stop_bridge()
        elif self._commands.can_run_episodes:
            self._commands.cancel_episode()
        else:
            self._tell("STOP: not sent, there is no bridge to stop", True)

    def _show(self, words: str) -> None:
        text = f"■ {words}  [F12]"
        if self.text() != text:
            self.setText(text)
