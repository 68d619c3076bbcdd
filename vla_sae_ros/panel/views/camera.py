"""The view of the camera pictures, and of where the selected feature looks."""

from __future__ import annotations

from PyQt5.QtGui import QHideEvent, QShowEvent
from PyQt5.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from vla_sae_ros.panel.state.incoming import HEATMAP
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.state.values import FeatureName
from vla_sae_ros.panel.views.picture_box import PictureBox
from vla_sae_ros.panel.views.view import Context
from vla_sae_ros.panel.widgets.guard import guarded

_LOOK_PERIOD = 1.0
"""[s] between two looks at which cameras there are."""

_PATIENCE = 2.0
"""[s] without a heatmap after which the view says so."""


class CameraView(QWidget):
    """Cameras side by side below the heatmap; it hears pictures only while it is visible."""

    def __init__(self, context: Context) -> None:
        """Start without pictures."""
        super().__init__()
        self._client, self._store = context.client, context.store
        self._asked: FeatureName | None = None
        self._requested = False
        self._watched: set[str] = set()
        self._asked_at, self._next_look = 0.0, 0.0
        self.heatmap = PictureBox("")
        self.boxes: dict[str, PictureBox] = {}
        self._row = QHBoxLayout()
        whole = QVBoxLayout(self)
        whole.setContentsMargins(4, 4, 4, 4)
        whole.addWidget(self.heatmap, 3)
        whole.addLayout(self._row, 2)

    def refresh(self, store: Store, now: float) -> None:
        """Show the newest pictures and ask for the selected feature's heatmap."""
        if now >= self._next_look:
            self._next_look = now + _LOOK_PERIOD
            self._follow_cameras(self._client.cameras())
        if store.selected != self._asked:
            self._ask(store.selected, now)
        for camera, box in self.boxes.items():
            picture = store.pictures.get(camera)
            broken = self._client.incoming.broken_pictures.get(camera, 0)
            caption = f"{camera}   {broken} BROKEN" if broken else camera
            if picture is None:
                box.show_reason("no picture yet", caption)
            else:
                box.show_pixels(picture.pixels, caption)
        self._show_heatmap(store, now)

    @guarded()
    def showEvent(self, event: QShowEvent) -> None:
        """Hear the pictures."""
        super().showEvent(event)
        self._next_look = 0.0

    @guarded()
    def hideEvent(self, event: QHideEvent) -> None:
        """Hear nothing more: nobody computes a heatmap that nobody sees."""
        super().hideEvent(event)
        for camera in list(self._watched):
            self._unwatch(camera)
        if self._requested:
            self._client.commands.select_heatmap(None)
        self._asked, self._requested = None, False

    def _watch(self, camera: str) -> None:
        if camera not in self._watched:
            self._watched.add(camera)
            self._client.watch(camera)

    def _unwatch(self, camera: str) -> None:
        if camera in self._watched:
            self._watched.remove(camera)
            self._client.unwatch(camera)

    def _follow_cameras(self, cameras: list[str]) -> None:
        for gone in self.boxes.keys() - set(cameras):
            self._unwatch(gone)
            self.boxes.pop(gone).deleteLater()
        for camera in cameras:
            self._watch(camera)
            if camera not in self.boxes:
                self.boxes[camera] = PictureBox(camera)
                self._row.addWidget(self.boxes[camera])

    def _ask(self, name: FeatureName | None, now: float) -> None:
        self._asked, self._asked_at, self._store.heatmap = name, now, None
        if name is not None and self._client.commands.offers("policy/select_heatmap"):
            self._watch(HEATMAP)
            self._requested = bool(self._client.commands.select_heatmap(name))

    def _show_heatmap(self, store: Store, now: float) -> None:
        name = store.selected
        if name is not None and store.heatmap is not None:
            self.heatmap.show_pixels(
                store.heatmap.pixels, f"{name[0]} #{name[1]}: where it is active"
            )
            return
        waited = now - self._asked_at > _PATIENCE
        offered = self._client.commands.offers("policy/select_heatmap")
        self.heatmap.show_reason(why_no_heatmap(name, offered, waited), "")


def why_no_heatmap(name: FeatureName | None, offered: bool, waited: bool) -> str:
    """Return why there is no heatmap of a feature; `waited`: there was time for one."""
    if name is None:
        return "Select a feature to see where in the picture it is active."
    if not offered:
        return "No heatmap: the policy node does not offer one."
    if waited:
        return (
            f"No heatmap of {name[0]} #{name[1]} yet. It comes with the next inference; sites "
            "that do not read camera tokens, such as those of the action expert, have none."
        )
    return f"Waiting for the heatmap of {name[0]} #{name[1]} …"
