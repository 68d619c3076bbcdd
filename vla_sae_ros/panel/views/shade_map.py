"""Colours of the raster: from the ground's colour over blue to yellow (dark theme) or black (light
theme), always monotone in lightness, so that it reads without colour vision and in grey print."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PyQt5.QtGui import QColor, QPalette, qRgb

from vla_sae_ros.panel.widgets.inks import is_dark

_ON_DARK = ((0.25, "#1B4F7A"), (0.5, "#2E86C1"), (0.75, "#7FC8A9"), (1.0, "#F7EE7F"))
_ON_LIGHT = ((0.25, "#9CCBE8"), (0.5, "#3B8FC4"), (0.75, "#0B5394"), (1.0, "#14142B"))


def shade_colours(palette: QPalette) -> list[int]:
    """Return 256 colours (0xAARRGGBB) for a palette; the first is its ground."""
    ground = palette.color(QPalette.ColorRole.Base)
    return _colours(ground.name(), is_dark(palette))


@lru_cache(maxsize=8)
def _colours(ground: str, dark: bool) -> list[int]:
    stops = ((0.0, ground), *(_ON_DARK if dark else _ON_LIGHT))
    places = [place for place, _ in stops]
    parts = np.array([QColor(name).getRgb()[:3] for _, name in stops], np.float64)
    wanted = np.linspace(0.0, 1.0, 256)
    red, green, blue = (np.interp(wanted, places, parts[:, channel]) for channel in range(3))
    return [
        qRgb(round(r), round(g), round(b))
        for r, g, b in zip(red.tolist(), green.tolist(), blue.tolist(), strict=True)
    ]
