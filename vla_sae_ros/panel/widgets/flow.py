"""A row of widgets that goes on in the next line where the window is narrow."""

from __future__ import annotations

from collections.abc import Iterator

from PyQt5.QtCore import QRect, QSize, Qt
from PyQt5.QtWidgets import QLayout, QLayoutItem, QSizePolicy, QWidget


class Flow(QLayout):
    """Lines of items from left to right; what is left of a line goes to the items that expand."""

    def __init__(self, spacing: int = 7) -> None:
        """Start empty; `spacing` [pixels] between items and between lines."""
        super().__init__()
        self._items: list[QLayoutItem] = []
        self.setContentsMargins(0, 0, 0, 0)
        self.setSpacing(spacing)

    def addItem(self, item: QLayoutItem | None) -> None:
        """Add an item at the end."""
        if item is not None:
            self._items.append(item)

    def count(self) -> int:
        """Return the number of items."""
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        """Return one item; None beyond the end."""
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        """Take one item out; None beyond the end."""
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientations:
        """Take all the width that there is."""
        return Qt.Orientations(Qt.Orientation.Horizontal)

    def hasHeightForWidth(self) -> bool:
        """Say that a narrower row is higher."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Return the height [pixels] of all lines at this width."""
        heights = [self._height(line) for line in self._lines(width)]
        return sum(heights) + self.spacing() * max(len(heights) - 1, 0)

    def sizeHint(self) -> QSize:
        """Return the size of one line."""
        hints = [item.sizeHint() for item in self._shown()]
        width = sum(hint.width() for hint in hints) + self.spacing() * max(len(hints) - 1, 0)
        return QSize(width, max((hint.height() for hint in hints), default=0))

    def minimumSize(self) -> QSize:
        """Return the size of the largest item."""
        size = QSize()
        for item in self._shown():
            size = size.expandedTo(item.minimumSize())
        return size

    def setGeometry(self, rect: QRect) -> None:
        """Place every item."""
        super().setGeometry(rect)
        y = rect.y()
        for line in self._lines(rect.width()):
            height, x = self._height(line), rect.x()
            used = sum(self._width(item) for item in line) + self.spacing() * (len(line) - 1)
            eager = [item for item in line if _expands(item)]
            for item in line:
                width = self._width(item)
                if item in eager:
                    width += max(rect.width() - used, 0) // len(eager)
                own = item.sizeHint().height()
                item.setGeometry(QRect(x, y + (height - own) // 2, width, own))
                x += width + self.spacing()
            y += height + self.spacing()

    def _lines(self, width: int) -> Iterator[list[QLayoutItem]]:
        line: list[QLayoutItem] = []
        used = 0
        for item in self._shown():
            needed = self._width(item)
            if line and used + self.spacing() + needed > width:
                yield line
                line, used = [], 0
            used += needed + (self.spacing() if line else 0)
            line.append(item)
        if line:
            yield line

    def _shown(self) -> list[QLayoutItem]:
        return [item for item in self._items if not item.isEmpty()]

    def _width(self, item: QLayoutItem) -> int:
        return max(item.sizeHint().width(), item.minimumSize().width())

    def _height(self, line: list[QLayoutItem]) -> int:
        return max(item.sizeHint().height() for item in line)


def spring() -> QWidget:
    """Return an empty widget that takes what is left of a line."""
    empty = QWidget()
    empty.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return empty


def _expands(item: QLayoutItem) -> bool:
    widget = item.widget()
    if widget is None:
        return False
    return bool(widget.sizePolicy().horizontalPolicy() & QSizePolicy.PolicyFlag.ExpandFlag)
