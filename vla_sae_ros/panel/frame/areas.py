"""The table and the views round it: splitters and tabs whose layout can be kept as a dict."""

from __future__ import annotations

import contextlib
from typing import Any

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QSplitter, QTabWidget, QVBoxLayout, QWidget

from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.views.view import Area, Context, ViewSpec
from vla_sae_ros.panel.widgets.guard import guarded

_SHARES = {"columns": [3, 1], "rows": [2, 1]}


class LazyView(QWidget):
    """A view that is made when it is shown for the first time: the window opens sooner."""

    def __init__(self, spec: ViewSpec, context: Context) -> None:
        """Keep what it takes to make the view."""
        super().__init__()
        self.spec, self._context = spec, context
        self.inner: Any = None
        self._saved: dict[str, Any] | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)

    @guarded()
    def refresh(self, store: Store, now: float) -> None:
        """Make the view if need be, and let it show the present state, while it is visible."""
        if self.isVisible():
            self.made().refresh(store, now)

    def made(self) -> Any:
        """Return the view, made now if it was not shown yet."""
        if self.inner is None:
            self.inner = self.spec.make(self._context)
            layout = self.layout()
            assert layout is not None
            layout.addWidget(self.inner)
            if self._saved is not None and hasattr(self.inner, "restore"):
                self.inner.restore(self._saved)
        return self.inner

    def save(self) -> dict[str, Any] | None:
        """Return what the view wants to be remembered; None when it wants nothing."""
        if self.inner is None:
            return self._saved
        return self.inner.save() if hasattr(self.inner, "save") else None

    def restore(self, saved: dict[str, Any]) -> None:
        """Give the view what it saved, now or when it is made."""
        self._saved = saved
        if self.inner is not None and hasattr(self.inner, "restore"):
            self.inner.restore(saved)


class Areas(QSplitter):
    """The table, tabs to its right and tabs below it; `bars` stand elsewhere in the window."""

    def __init__(self, table: QWidget, specs: tuple[ViewSpec, ...], context: Context) -> None:
        """Put every view into its area."""
        super().__init__(Qt.Orientation.Vertical)
        views = [LazyView(spec, context) for spec in specs]
        self._views = views
        self._folded, self._before_folding = False, True
        self.bars = [view for view in views if view.spec.area is Area.BAR]
        self._upper = QSplitter(Qt.Orientation.Horizontal)
        self._upper.addWidget(table)
        self._tabs = {area: QTabWidget() for area in (Area.RIGHT, Area.BOTTOM)}
        for view in views:
            if view.spec.area in self._tabs:
                self._tabs[view.spec.area].addTab(view, view.spec.title)
        self._upper.addWidget(self._tabs[Area.RIGHT])
        self.addWidget(self._upper)
        self.addWidget(self._tabs[Area.BOTTOM])
        for area, tabs in self._tabs.items():
            tabs.setVisible(tabs.count() > 0)
            tabs.setDocumentMode(True)
            tabs.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            tabs.setAccessibleName(area.value)
        for splitter, (first, second) in (
            (self._upper, _SHARES["columns"]),
            (self, _SHARES["rows"]),
        ):
            splitter.setStretchFactor(0, first)
            splitter.setStretchFactor(1, second)
            splitter.setChildrenCollapsible(False)
            splitter.setSizes([first * 1000, second * 1000])

    @property
    def tabs(self) -> list[QTabWidget]:
        """The groups of tabs that hold a view."""
        return [tabs for tabs in self._tabs.values() if tabs.count()]

    def draw(self, store: Store, now: float) -> None:
        """Let every visible view show the present state."""
        for view in self._views:
            view.refresh(store, now)

    def view(self, title: str) -> Any:
        """Return the view of this title, made now if it was not shown yet."""
        return next(view for view in self._views if view.spec.title == title).made()

    def fold(self, narrow: bool) -> None:
        """Hide the views to the right of the table while the window is too narrow for both.

        Whoever wants to see them all the same shows them again (`toggle`).
        """
        if narrow == self._folded:
            return
        self._folded = narrow
        tabs = self._tabs[Area.RIGHT]
        if narrow:
            self._before_folding = not tabs.isHidden()
        tabs.setVisible(bool(tabs.count()) and not narrow and self._before_folding)

    def toggle(self, area: Area) -> None:
        """Hide an area, or show it again."""
        tabs = self._tabs[area]
        tabs.setVisible(bool(tabs.count()) and not tabs.isVisible())

    def next(self, area: Area) -> None:
        """Show the next view of an area."""
        tabs = self._tabs[area]
        if tabs.count():
            tabs.setVisible(True)
            tabs.setCurrentIndex((tabs.currentIndex() + 1) % tabs.count())

    def save(self) -> dict[str, Any]:
        """Return the layout as plain values."""
        return {
            "columns": self._upper.sizes(),
            "rows": self.sizes(),
            "current": {
                area.value: tabs.tabText(tabs.currentIndex())
                for area, tabs in self._tabs.items()
                if tabs.count()
            },
            "hidden": [
                area.value
                for area, tabs in self._tabs.items()
                if tabs.count() and tabs.isHidden() and not self._hidden_by_folding(area)
            ],
            "views": {
                view.spec.title: saved for view in self._views if (saved := view.save()) is not None
            },
        }

    def _hidden_by_folding(self, area: Area) -> bool:
        return area is Area.RIGHT and self._folded and self._before_folding

    def restore(self, layout: dict[str, Any]) -> None:
        """Take what `save` returned; what does not fit this panel any more is left as it is."""
        for splitter, name in ((self._upper, "columns"), (self, "rows")):
            with contextlib.suppress(KeyError, TypeError, ValueError):
                sizes = [int(size) for size in layout[name]]
                if all(sizes):  # a hidden area has no size to come back to
                    splitter.setSizes(sizes)
        for view in self._views:
            saved = layout.get("views", {}).get(view.spec.title)
            if saved is not None:
                view.restore(saved)
        current = layout.get("current")
        for area, tabs in self._tabs.items():
            titles = [tabs.tabText(index) for index in range(tabs.count())]
            wanted = current.get(area.value) if isinstance(current, dict) else None
            if wanted in titles:
                tabs.setCurrentIndex(titles.index(wanted))
            wanted_shown = area.value not in layout.get("hidden", ())
            if area is Area.RIGHT and self._folded:
                self._before_folding = wanted_shown
            else:
                tabs.setVisible(bool(titles) and wanted_shown)
