"""Colours of the plots, over palette roles."""

from __future__ import annotations

from dataclasses import dataclass

from PyQt5.QtGui import QColor, QPalette

from vla_sae_ros.panel.widgets.inks import EDITED, active_ink, faint, is_dark


@dataclass(frozen=True)
class PlotInks:
    """Colours for one theme."""

    ground: QColor
    text: QColor
    faint: QColor
    """Grid lines and frames."""
    applied: QColor
    natural: QColor
    edited: QColor
    """Shade of a stretch under an edit."""
    alarm: QColor
    """Refused, lost, failed: always with a word or a sign beside it."""

    @classmethod
    def of(cls, palette: QPalette) -> PlotInks:
        """Choose for a palette, dark or light."""
        role = QPalette.ColorRole
        ground, text = palette.color(role.Base), palette.color(role.Text)
        dark = is_dark(palette)
        return cls(
            ground=ground,
            text=text,
            faint=faint(text, 45),
            applied=active_ink(palette),
            natural=faint(text, 170),
            edited=faint(EDITED, 60 if dark else 75),
            alarm=QColor("#FF8A65" if dark else "#B23A00"),
        )
