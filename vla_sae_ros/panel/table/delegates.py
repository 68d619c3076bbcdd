"""How a bar, a sparkline and a slider are drawn, and how a number and a mode are entered."""

from __future__ import annotations

import math

import numpy as np
from PyQt5.QtCore import QModelIndex, QPointF, QRectF, Qt
from PyQt5.QtGui import QBrush, QPainter, QPen, QPolygonF
from PyQt5.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from vla_sae_ros.core.steering import Mode, Unit
from vla_sae_ros.panel.state.feature_columns import Bar
from vla_sae_ros.panel.state.slider import Slider
from vla_sae_ros.panel.state.values import MODE_WORDS, UNIT_WORDS
from vla_sae_ros.panel.table.marks import diamond, disc, triangle
from vla_sae_ros.panel.table.table_columns import SPARK_SECONDS
from vla_sae_ros.panel.table.table_model import BarRole, SliderRole, SparkRole, SteersRole
from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.panel.widgets.inks import Inks, em, faint
from vla_sae_ros.panel.widgets.polyline import polyline, thin_pen

_TYPED_LIMIT = 1e6
_NUMBER_WIDTH = 46
_MARGIN = 12
_SPARK_POINTS = 60
_VCENTER = int(Qt.AlignmentFlag.AlignVCenter)

_UNITS = (Unit.OBSERVED_MAX, Unit.NATURAL, Unit.RESIDUAL_NORM)
MODES = (
    *((mode, unit) for mode in (Mode.CLAMP, Mode.ADD) for unit in _UNITS),
    (Mode.SCALE, Unit.NATURAL),
    (Mode.PROJECT_OUT, Unit.NATURAL),
)
"""Every way to edit, in the order of the menus."""


def mode_words(mode: Mode, unit: Unit) -> str:
    """Return the name of a way to edit."""
    measured = mode in (Mode.CLAMP, Mode.ADD)
    return f"{MODE_WORDS[mode]} {UNIT_WORDS[unit]}" if measured else MODE_WORDS[mode]


def slider_track(cell: QRectF) -> QRectF:
    """Return the part of a cell in which a slider's values lie."""
    return cell.adjusted(_MARGIN, 0, -_MARGIN, 0)


def value_at(x: float, cell: QRectF, limit: float) -> float:
    """Return the value under x [pixels] of an axis from -limit to limit, clipped to its ends."""
    track = slider_track(cell)
    share = (x - track.left()) / max(track.width(), 1.0)
    return (min(max(share, 0.0), 1.0) * 2 - 1) * limit


def x_of(value: float, cell: QRectF, limit: float) -> float:
    """Return where a value lies; values beyond the ends lie at the end."""
    track = slider_track(cell)
    share = (min(max(value, -limit), limit) + limit) / (2 * limit)
    return track.left() + share * track.width()


class SiteDelegate(QStyledItemDelegate):
    """A site's name, faint where it takes no edits; the tooltip says why."""

    @guarded()
    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Draw one cell."""
        ink = Inks.of(option).text
        painter.setPen(ink if index.data(SteersRole) else faint(ink, 110))
        area = option.rect.adjusted(4, 0, -2, 0)
        text = option.fontMetrics.elidedText(
            str(index.data()), Qt.TextElideMode.ElideRight, area.width()
        )
        painter.drawText(area, _VCENTER, text)


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
            _draw_bar(painter, QRectF(option.rect), Inks.of(option), data, em(option.fontMetrics))
        finally:
            painter.restore()


class SparkDelegate(QStyledItemDelegate):
    """The last seconds of one feature."""

    @guarded()
    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Draw one cell."""
        times, values = index.data(SparkRole)
        if len(times) < 2:
            return
        painter.save()
        try:
            _draw_spark(
                painter,
                QRectF(option.rect).adjusted(4, 4, -4, -4),
                Inks.of(option),
                times,
                values.astype(np.float64),
            )
        finally:
            painter.restore()


class ModeDelegate(QStyledItemDelegate):
    """What an edit does; a menu chooses."""

    @guarded()
    def createEditor(
        self, parent: QWidget, option: QStyleOptionViewItem, index: QModelIndex
    ) -> QWidget:
        """Return the menu of all modes and units, open."""
        box = QComboBox(parent)
        box.addItems([mode_words(*each) for each in MODES])
        return box

    @guarded()
    def setEditorData(self, editor: QWidget, index: QModelIndex) -> None:
        """Begin with the present mode."""
        assert isinstance(editor, QComboBox)
        edit = index.data(SliderRole).edit
        words = mode_words(edit.mode, edit.unit)
        editor.setCurrentIndex(max(editor.findText(words), 0))


class ValueDelegate(QStyledItemDelegate):
    """A number in the unit of the edit."""

    @guarded()
    def createEditor(
        self, parent: QWidget, option: QStyleOptionViewItem, index: QModelIndex
    ) -> QWidget:
        """Return a spin box in the edit's unit."""
        slider = index.data(SliderRole)
        box = QDoubleSpinBox(parent)
        box.setRange(-_TYPED_LIMIT, _TYPED_LIMIT)
        box.setDecimals(3)
        box.setSingleStep(slider.limit / 20)
        scaled = slider.edit.mode is Mode.SCALE
        box.setSuffix(" x" if scaled else f" {UNIT_WORDS[slider.edit.unit]}")
        return box

    @guarded()
    def setEditorData(self, editor: QWidget, index: QModelIndex) -> None:
        """Begin with the commanded value."""
        assert isinstance(editor, QDoubleSpinBox)
        commanded = index.data(SliderRole).commanded
        editor.setValue(0.0 if math.isnan(commanded) else commanded)
        editor.selectAll()


class SteeringDelegate(ValueDelegate):
    """A slider with the marks commanded, applied and natural."""

    @guarded()
    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Draw one cell."""
        data = index.data(SliderRole)
        if not isinstance(data, Slider):
            return
        painter.save()
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            _draw_slider(
                painter, QRectF(option.rect), Inks.of(option), data, em(option.fontMetrics)
            )
        finally:
            painter.restore()


def _draw_bar(painter: QPainter, cell: QRectF, inks: Inks, data: Bar, em: float) -> None:
    ink, number = inks.text, _NUMBER_WIDTH * em
    track = cell.adjusted(6, 0.28 * cell.height(), -number - 8, -0.28 * cell.height())
    painter.fillRect(track, faint(ink, 30))
    colour = inks.edited if data.edited else inks.active
    length = min(abs(data.applied), 1.0) * track.width()
    painter.fillRect(QRectF(track.left(), track.top(), length, track.height()), colour)
    if abs(data.applied) > 1.0:  # beyond the observed maximum: an arrow at the end
        right, middle = track.right(), track.center().y()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawPolygon(
            QPolygonF(
                [
                    QPointF(right, middle - 7 * em),
                    QPointF(right + 6 * em, middle),
                    QPointF(right, middle + 7 * em),
                ]
            )
        )
    if data.edited:
        x = track.left() + min(max(data.natural, 0.0), 1.0) * track.width()
        painter.setPen(QPen(ink, 2))
        painter.drawLine(QPointF(x, track.top() - 2), QPointF(x, track.bottom() + 2))
    painter.setPen(ink if data.applied else faint(ink, 110))
    painter.drawText(
        cell.adjusted(0, 0, -4, 0),
        int(Qt.AlignmentFlag.AlignRight) | _VCENTER,
        f"{data.applied:.2f}",
    )


def _draw_spark(
    painter: QPainter, area: QRectF, inks: Inks, times: np.ndarray, values: np.ndarray
) -> None:
    """Draw on an axis from 0 to 1 observed maximum, or further where the values go further."""
    firsts = np.arange(0, len(values), -(-len(values) // _SPARK_POINTS))
    times, values = times[firsts], np.maximum.reduceat(values, firsts)  # no peak is left out
    low, high = min(0.0, values.min()), max(1.0, values.max())
    x = area.right() - (times[-1] - times) / SPARK_SECONDS * area.width()
    y = area.bottom() - (values - low) / (high - low) * area.height()
    painter.setPen(QPen(faint(inks.text, 45), 1))
    zero = area.bottom() + low / (high - low) * area.height()
    painter.drawLine(QPointF(area.left(), zero), QPointF(area.right(), zero))
    if not values.any():
        return
    painter.setPen(thin_pen(inks.active))
    painter.drawPolyline(polyline(x, y))


def _draw_slider(painter: QPainter, cell: QRectF, inks: Inks, data: Slider, em: float) -> None:
    track, middle, ink = slider_track(cell), cell.center().y(), inks.text
    if not data.limit:
        painter.setPen(ink if data.stands else faint(ink, 110))
        words = "direction removed" if data.stands else "double click: remove"
        painter.drawText(cell, int(Qt.AlignmentFlag.AlignCenter), words if data.enabled else "")
        return
    painter.setPen(QPen(faint(ink, 120 if data.enabled else 40), 1.5 * em))
    painter.drawLine(QPointF(track.left(), middle), QPointF(track.right(), middle))
    if not data.enabled:
        return
    zero = x_of(0.0, cell, data.limit)
    painter.drawLine(QPointF(zero, middle - 5 * em), QPointF(zero, middle + 5 * em))
    if not math.isnan(data.natural):
        painter.setPen(QPen(ink, 1.2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        triangle(painter, x_of(data.natural, cell, data.limit), middle + 2 * em, em)
    if not math.isnan(data.commanded):
        _draw_commanded(
            painter, x_of(data.commanded, cell, data.limit), zero, middle, inks, data, em
        )
    if not math.isnan(data.applied):
        painter.setPen(QPen(inks.ground, 1.0))
        painter.setBrush(inks.active)
        diamond(painter, x_of(data.applied, cell, data.limit), middle, em)


def _draw_commanded(
    painter: QPainter, at: float, zero: float, middle: float, inks: Inks, data: Slider, em: float
) -> None:
    hollow = data.pending or data.leaving
    painter.setPen(QPen(faint(inks.edited, 110 if data.leaving else 255), 4 * em))
    painter.drawLine(QPointF(zero, middle), QPointF(at, middle))
    painter.setPen(QPen(inks.text, 1.2))
    painter.setBrush(
        QBrush(inks.edited, Qt.BrushStyle.Dense4Pattern if hollow else Qt.BrushStyle.SolidPattern)
    )
    disc(painter, at, middle, em)
