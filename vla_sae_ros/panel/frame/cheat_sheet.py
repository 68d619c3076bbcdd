"""F1: every key and what it does."""

from __future__ import annotations

import html

from PyQt5.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

from vla_sae_ros.panel.frame.shortcuts import SHORTCUTS


class CheatSheet(QDialog):
    """A window that does not keep the panel waiting."""

    def __init__(self, parent: QWidget) -> None:
        """List the shortcuts."""
        super().__init__(parent)
        self.setWindowTitle("Keys")
        self.text = QTextBrowser()
        rows = "".join(
            f"<tr><td style='padding: 2px 18px 2px 4px; white-space: nowrap'>"
            f"<b>{html.escape(each.keys)}</b></td>"
            f"<td style='padding: 2px'>{html.escape(each.words)}</td></tr>"
            for each in SHORTCUTS
        )
        self.text.setHtml(f"<table>{rows}</table>")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)
        metrics = self.fontMetrics()
        self.resize(
            metrics.averageCharWidth() * 105, round(metrics.height() * 1.4 * (len(SHORTCUTS) + 3))
        )
