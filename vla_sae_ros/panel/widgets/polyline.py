"""A numpy curve as Qt polygons without a Python loop over the points, and the pen that is quick."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from PyQt5.QtCore import Qt
from PyQt5.QtGui import QColor, QPen, QPolygonF

Values = npt.NDArray[np.float64]


def polyline(x: Values, y: Values) -> QPolygonF:
    """Return the points (x[i], y[i]) [pixels] as one polygon."""
    polygon = QPolygonF(len(x))
    if len(x):
        pointer: Any = polygon.data()
        pointer.setsize(16 * len(x))
        points = np.frombuffer(pointer, np.float64).reshape(-1, 2)
        points[:, 0], points[:, 1] = x, y
    return polygon


def thin_pen(colour: QColor, style: Qt.PenStyle = Qt.PenStyle.SolidLine) -> QPen:
    """Return a pen of one device pixel: a wider antialiased line takes ten times as long."""
    pen = QPen(colour, 1, style)
    pen.setCosmetic(True)
    return pen


def runs(time: Values, gap: float) -> list[slice]:
    """Cut a series where time jumps by more than `gap` [s] or runs backwards."""
    step = np.diff(time)
    cuts = (np.flatnonzero((step > gap) | (step < 0)) + 1).tolist()
    edges = [0, *cuts, len(time)]
    return [slice(a, b) for a, b in pairwise(edges) if b > a]


def usual_gap(time: Values) -> float:
    """Return the step [s] from which on two observations are not joined by a line."""
    step = np.diff(time)
    step = step[step > 0]
    return max(1.0, 5.0 * float(np.median(step))) if len(step) else 1.0
