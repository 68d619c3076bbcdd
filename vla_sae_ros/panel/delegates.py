"""How an activation bar and a slider are drawn, and a value is typed.

Colours are blue and orange of the Okabe-Ito set over palette roles, and the three marks differ in
shape too: natural a hollow triangle, commanded a filled disc, applied a diamond.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from PyQt5.QtCore import QModelIndex, QPointF, QRectF, QSize, Qt
from PyQt5.QtGui import QBrush, QColor, QPainter, QPalette, QPen, QPolygonF
from PyQt5.QtWidgets import (
    QDoubleSpinBox,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from vla_sae_ros.panel.feature_columns import Bar, Slider
from vla_sae_ros.panel.guard import guarded
from vla_sae_ros.panel.table_model import BarRole, SliderRole

ACTIVE = QColor("#0072B2")
EDITED = QColor("#E69F00")

SLIDER_LIMIT = 5.0
"""Observed maxima at both ends of a slider; more can be typed."""

_TYPED_LIMIT = 100.0
_NUMBER_WIDTH = 46
_MARGIN = 12


def slider_track(cell: QRectF) -> QRectF:
    """Return the part of a cell in which a slider's values lie."""
    return cell.adjusted(_MARGIN, 0, -_MARGIN, 0)


def value_at(x: float, cell: QRectF) -> float:
    """Return the value under x [pixels], in observed maxima, clipped to the slider's ends."""
    track = slider_track(cell)
    share = (x - track.left()) / max(track.width(), 1.0)
    return min(max(share, 0.0), 1.0) * 2 * SLIDER_LIMIT - SLIDER_LIMIT


def x_of(value: float, cell: QRectF) -> float:
    """Return where a value lies; values beyond the ends lie at the end."""
    track = slider_track(cell)
    share = (min(max(value, -SLIDER_LIMIT), SLIDER_LIMIT) + SLIDER_LIMIT) / (2 * SLIDER_LIMIT)
    return track.left() + share * track.width()


@dataclass(frozen=True)
class Inks:
    """Colours of one cell: grey when the table is disabled, light on a selected row."""

    text: QColor
    ground: QColor
    active: QColor
    edited: QColor

    @classmethod
    def of(cls, option: QStyleOptionViewItem) -> Inks:
        """Choose for the state of the cell."""
        palette, role = option.palette, QPalette.ColorRole
        if not option.state & QStyle.StateFlag.State_Enabled:
            grey = palette.color(QPalette.ColorGroup.Disabled, role.Text)
            return cls(grey, palette.color(role.Base), grey, grey)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        text = palette.color(role.HighlightedText if selected else role.Text)
        return cls(text, palette.color(role.Base), ACTIVE, EDITED)


class ActivationDelegate(QStyledItemDelegate):
    """A bar against the observed maximum, and the number."""

    @guarded()
    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Draw one cell."""
        # The view has drawn the row's background; the base class would ask for a dozen roles.
        data = index.data(BarRole)
        if not isinstance(data, Bar):
            return
        painter.save()
        try:
            _draw_bar(painter, QRectF(option.rect), Inks.of(option), data)
        finally:
            painter.restore()


class SteeringDelegate(QStyledItemDelegate):
    """A slider with the marks commanded, applied and natural; double click types a number."""

    @guarded()
    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Draw one cell."""
        painter.save()
        try:
            data = index.data(SliderRole)
            if isinstance(data, Slider):
                painter.setRenderHint(QPainter.RenderHint.Antialiasing)
                _draw_slider(painter, QRectF(option.rect), Inks.of(option), data)
        finally:
            painter.restore()

    @guarded()
    def createEditor(
        self, parent: QWidget, option: QStyleOptionViewItem, index: QModelIndex
    ) -> QWidget:
        """Return a spin box in observed maxima."""
        box = QDoubleSpinBox(parent)
        box.setRange(-_TYPED_LIMIT, _TYPED_LIMIT)
        box.setDecimals(2)
        box.setSingleStep(0.25)
        box.setSuffix(" of max")
        return box

    @guarded()
    def setEditorData(self, editor: QWidget, index: QModelIndex) -> None:
        """Begin with the commanded value."""
        assert isinstance(editor, QDoubleSpinBox)
        editor.setValue(float(index.data(Qt.ItemDataRole.EditRole) or 0.0))
        editor.selectAll()

    @guarded(QSize(180, 26))
    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        """Leave room for the handle."""
        return QSize(180, 26)


def _draw_bar(painter: QPainter, cell: QRectF, inks: Inks, data: Bar) -> None:
    ink = inks.text
    track = cell.adjusted(6, 7, -_NUMBER_WIDTH - 6, -7)
    painter.fillRect(track, _faint(ink, 30))
    colour = inks.edited if data.edited else inks.active
    length = min(abs(data.applied), 1.0) * track.width()
    painter.fillRect(QRectF(track.left(), track.top(), length, track.height()), colour)
    if abs(data.applied) > 1.0:  # beyond the observed maximum: an arrow at the end
        right, middle = track.right(), track.center().y()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawPolygon(QPolygonF([QPointF(right, middle - 7), QPointF(right + 6, middle),
                                       QPointF(right, middle + 7)]))
    if data.edited:
        x = track.left() + min(max(data.natural, 0.0), 1.0) * track.width()
        painter.setPen(QPen(ink, 2))
        painter.drawLine(QPointF(x, track.top() - 2), QPointF(x, track.bottom() + 2))
    painter.setPen(ink if data.applied else _faint(ink, 110))
    painter.drawText(QRectF(cell.right() - _NUMBER_WIDTH - 2, cell.top(), _NUMBER_WIDTH - 4,
                            cell.height()),
                     int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter),
                     f"{data.applied:.2f}")


def _draw_slider(painter: QPainter, cell: QRectF, inks: Inks, data: Slider) -> None:
    ink = inks.text
    track, middle = slider_track(cell), cell.center().y()
    strength = 120 if data.enabled else 40
    painter.setPen(QPen(_faint(ink, strength), 2))
    painter.drawLine(QPointF(track.left(), middle), QPointF(track.right(), middle))
    if not data.enabled:
        return
    zero = x_of(0.0, cell)
    painter.drawLine(QPointF(zero, middle - 5), QPointF(zero, middle + 5))
    natural = x_of(data.natural, cell)
    painter.setPen(QPen(ink, 1.2))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPolygon(QPolygonF([QPointF(natural, middle + 2), QPointF(natural - 4, middle + 9),
                                   QPointF(natural + 4, middle + 9)]))
    if math.isnan(data.commanded):
        return
    at = x_of(data.commanded, cell)
    painter.setPen(QPen(inks.edited, 4))
    painter.drawLine(QPointF(zero, middle), QPointF(at, middle))
    painter.setPen(QPen(ink, 1.2))
    pending, confirmed = Qt.BrushStyle.Dense4Pattern, Qt.BrushStyle.SolidPattern
    painter.setBrush(QBrush(inks.edited, pending if data.pending else confirmed))
    painter.drawEllipse(QPointF(at, middle), 7, 7)
    if not math.isnan(data.applied):
        x = x_of(data.applied, cell)
        painter.setPen(QPen(inks.ground, 1.0))
        painter.setBrush(inks.active)
        painter.drawPolygon(QPolygonF([QPointF(x, middle - 6), QPointF(x + 4.5, middle),
                                       QPointF(x, middle + 6), QPointF(x - 4.5, middle)]))


def _faint(colour: QColor, alpha: int) -> QColor:
    result = QColor(colour)
    result.setAlpha(alpha)
    return result
