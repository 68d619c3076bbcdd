"""Presets as files: chosen in a dialog, read with the core's own reader, compared in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PyQt5.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from vla_sae_ros.core.errors import VlaSaeError
from vla_sae_ros.core.steering import Edit, Preset, format_preset, read_preset
from vla_sae_ros.panel.editing.preset_diff import differences
from vla_sae_ros.panel.widgets.guard import guarded

_KINDS = "Presets (*.yaml *.yml);;All files (*)"


class PresetFiles:
    """Asks for a file without keeping the panel waiting.

    Args:
        parent: of the dialogs.
        present: returns the edits in force and their bundles as a preset of this name.
        apply: applies a preset.
        tell: shows a line to the operator; True = a warning.
    """

    def __init__(
        self,
        parent: QWidget,
        present: Callable[[str], Preset],
        apply: Callable[[Preset], None],
        tell: Callable[[str, bool], None],
    ) -> None:
        """Start in the working directory."""
        self._parent, self._present, self._apply, self._tell = parent, present, apply, tell
        self.folder = str(Path.cwd())

    def save(self) -> None:
        """Ask where to, and save the edits in force."""
        if not self._present("").edits:
            self._tell("There is no edit to save", True)
            return
        self._ask("Save the edits as a preset", QFileDialog.AcceptMode.AcceptSave, self.save_to)

    def load(self) -> None:
        """Ask which, and apply it."""
        self._ask("Load a preset", QFileDialog.AcceptMode.AcceptOpen, self.load_from)

    def compare(self) -> None:
        """Ask which, and say how the edits in force differ."""
        self._ask("Compare with a preset", QFileDialog.AcceptMode.AcceptOpen, self.compare_with)

    @guarded()
    def save_to(self, path: str) -> None:
        """Save the edits in force."""
        file = Path(path) if Path(path).suffix else Path(path).with_suffix(".yaml")
        try:
            preset = self._present(file.stem)
            text = format_preset(preset.name, preset.edits, preset.bundles)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            self._tell(f"Preset not saved: {error}", True)
            return
        self._tell(f"{len(preset.edits)} edits saved in {file}", False)

    @guarded()
    def load_from(self, path: str) -> None:
        """Apply a preset; a file that cannot be read is said."""
        preset = self._read(path)
        if preset is not None:
            self._apply(preset)

    @guarded()
    def compare_with(self, path: str) -> None:
        """Show the differences, and offer to apply the preset."""
        preset = self._read(path)
        if preset is not None:
            _Comparison(self._parent, preset, self._present("").edits, self._apply).show()

    def _read(self, path: str) -> Preset | None:
        try:
            return read_preset(Path(path))
        except VlaSaeError as error:
            self._tell(f"Preset not read, nothing changed: {error}", True)
            return None

    def _ask(self, title: str, mode: QFileDialog.AcceptMode, done: Callable[[str], None]) -> None:
        dialog = QFileDialog(self._parent, title, self.folder, _KINDS)
        dialog.setAcceptMode(mode)
        if mode is QFileDialog.AcceptMode.AcceptOpen:
            dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setDefaultSuffix("yaml")
        dialog.fileSelected.connect(done)
        dialog.finished.connect(lambda _: self._leave(dialog))
        dialog.open()  # not exec: frames and heartbeat go on

    def _leave(self, dialog: QFileDialog) -> None:
        self.folder = dialog.directory().absolutePath()
        dialog.deleteLater()


class _Comparison(QDialog):
    """What differs, and a button that applies the preset."""

    def __init__(
        self, parent: QWidget, preset: Preset, now: Sequence[Edit], apply: Callable[[Preset], None]
    ) -> None:
        super().__init__(parent)
        self.setObjectName("comparison")
        self.setWindowTitle(f"Edits now and preset “{preset.name}”")
        text = QPlainTextEdit("\n".join(differences(now, preset.edits)) or "No difference.")
        text.setReadOnly(True)
        text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        button = buttons.addButton("Apply the preset", QDialogButtonBox.ButtonRole.AcceptRole)
        assert button is not None
        button.clicked.connect(lambda: apply(preset))
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(text)
        layout.addWidget(buttons)
        self.resize(self.fontMetrics().averageCharWidth() * 90, self.fontMetrics().height() * 18)
