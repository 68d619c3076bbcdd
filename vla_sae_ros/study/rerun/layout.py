"""The blueprint: how the viewer lays a recording out."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import rerun.blueprint as rrb

from vla_sae_ros.study.rerun.features import APPLIED, NATURAL, NORM, STRONGEST
from vla_sae_ros.study.rerun.lanes import LANES
from vla_sae_ros.study.rerun.moments import RECEIVED, STEP, TIME
from vla_sae_ros.study.rerun.robot import ACTIONS, HAND, PATH
from vla_sae_ros.study.rerun.scene import CAMERA, EVENTS, HEAT

_FROM = np.array([1.1, -1.1, 0.8])
"""From where the hand's path is looked at, in its sizes: from the robot's front and right."""
_SMALLEST = 0.2  # [m]

Box = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""The smallest and the largest corner, (3,) [m] each, of where the hand goes."""


def layout(
    cameras: Collection[str], sites: Collection[str], heatmap: bool, reach: Box | None = None
) -> rrb.Blueprint:
    """Return the views of a recording with these cameras and sites: pictures and the hand on the
    left, series in the middle, the strongest features and the events on the right.

    Without `reach` everything is live: the time follows the newest message.
    """
    pictures = [rrb.Spatial2DView(origin=f"{CAMERA}/{name}", name=name) for name in cameras]
    left: list[rrb.Container | rrb.View] = [rrb.Grid(*pictures)] if pictures else []
    if heatmap:
        left.append(rrb.Spatial2DView(origin=HEAT, name="feature heatmap"))
    left.append(_hand(reach))
    middle = rrb.Vertical(
        rrb.Tabs(
            _plot(APPLIED, "features after the edits [SAE units]"),
            _plot(NATURAL, "before the edits"),
        ),
        rrb.StateTimelineView(origin=LANES, name="episode and steering"),
        rrb.Tabs(
            _plot(ACTIONS, "executed actions"),
            _plot(NORM, "||dx|| / ||x||"),
            _plot("gripper", "gripper [m]"),
            _plot("joint_states", "joints [rad]"),
        ),
        row_shares=[4, 3, 3],
    )
    tables = [
        rrb.TextDocumentView(origin=f"{STRONGEST}/{site}", name=f"strongest, {site}")
        for site in sorted(sites)
    ]
    events = rrb.TextLogView(origin=EVENTS, name="events and remarks")
    right = rrb.Vertical(*([rrb.Tabs(*tables)] if tables else []), events)
    return rrb.Blueprint(
        rrb.Horizontal(rrb.Vertical(*left), middle, right, column_shares=[3, 4, 3]),
        rrb.BlueprintPanel(state="collapsed"),
        rrb.SelectionPanel(state="collapsed"),
        rrb.TimePanel(
            state="collapsed", timeline=TIME, play_state="playing" if reach else "following"
        ),
    )


def _plot(origin: str, name: str) -> rrb.TimeSeriesView:
    return rrb.TimeSeriesView(origin=origin, name=name, plot_legend=rrb.PlotLegend("RightTop"))


def _hand(reach: Box | None) -> rrb.Spatial3DView:
    """Return the 3D view, in which the path stays from its beginning to the cursor."""
    ranges = [
        rrb.VisibleTimeRange(
            timeline,
            start=rrb.TimeRangeBoundary.infinite(),
            end=rrb.TimeRangeBoundary.cursor_relative(seq=0),
        )
        for timeline in (TIME, STEP, RECEIVED)
    ]
    eye = None
    if reach is not None:
        middle, size = (reach[0] + reach[1]) / 2, max(np.ptp(reach, axis=0).max(), _SMALLEST)
        eye = rrb.EyeControls3D(
            position=middle + size * _FROM, look_target=middle, eye_up=(0.0, 0.0, 1.0)
        )
    return rrb.Spatial3DView(
        origin=HAND,
        name="hand",
        overrides={PATH: rrb.VisibleTimeRanges(ranges)},
        eye_controls=eye,
    )
