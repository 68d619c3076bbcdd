"""What a part of the panel beside the table looks like to the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from PyQt5.QtWidgets import QWidget

from vla_sae_ros.panel.ros.commands import Commands
from vla_sae_ros.panel.state.store import Store


class Client(Protocol):
    """What the panel needs of its connection; RosClient is one."""

    incoming: Any
    commands: Commands

    @property
    def owner(self) -> str:
        """Name under which this panel's edits stand."""

    @property
    def policies(self) -> int:
        """Number of publishers of policy/features."""

    def cameras(self) -> list[str]:
        """Names of the cameras that somebody publishes."""

    def watch(self, camera: str) -> None:
        """Receive a camera's pictures, or the heatmap (incoming.HEATMAP)."""

    def unwatch(self, camera: str) -> None:
        """Receive them no more: call it in hideEvent."""


@dataclass(frozen=True)
class Context:
    """What a view is made with."""

    store: Store
    client: Client
    select: Callable[[tuple[str, int]], None]
    """Selects a feature in the table and everywhere."""
    tell: Callable[[str, bool], None]
    """Shows one line to the operator; True = a warning."""


class Area(Enum):
    """Where a view stands."""

    BAR = "bar"  # one line above the table, always visible
    RIGHT = "right"  # tabs beside the table
    BOTTOM = "bottom"  # tabs below it


@dataclass(frozen=True)
class ViewSpec:
    """One entry of the list of views."""

    title: str
    area: Area
    make: Callable[[Context], QWidget]
    """Called when the view is shown for the first time: imports what is slow inside.

    The widget's `refresh(store, now)` draws the present state, once a frame while it is visible;
    `now` is monotonic [s]. One with `save() -> dict` and `restore(dict)` is remembered."""
