"""The parts of the panel beside the table, in the order of their tabs."""

from __future__ import annotations

from vla_sae_ros.panel.controls.control_bar import ControlBar
from vla_sae_ros.panel.controls.episode import EpisodePane
from vla_sae_ros.panel.views.camera import CameraView
from vla_sae_ros.panel.views.details import DetailsView
from vla_sae_ros.panel.views.events import EventsView
from vla_sae_ros.panel.views.raster_view import RasterView
from vla_sae_ros.panel.views.traces import TracesView
from vla_sae_ros.panel.views.view import Area, ViewSpec

VIEWS = (
    ViewSpec("Controls", Area.BAR, ControlBar),
    ViewSpec("Details", Area.RIGHT, DetailsView),
    ViewSpec("Camera", Area.RIGHT, CameraView),
    ViewSpec("Episode", Area.RIGHT, EpisodePane),
    ViewSpec("Traces", Area.BOTTOM, TracesView),
    ViewSpec("Raster", Area.BOTTOM, RasterView),
    ViewSpec("Events", Area.BOTTOM, EventsView),
)
