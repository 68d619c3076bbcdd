"""Traces beside a film: drawn once, with a line that moves over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from PIL import Image, ImageDraw

from vla_sae_ros.bags.episode_trace import EpisodeTrace
from vla_sae_ros.core.catalogue import Catalogue
from vla_sae_ros.study.plots import colours
from vla_sae_ros.study.plots.feature_choice import FeatureName
from vla_sae_ros.study.plots.traces_plot import PANELS, draw_features, draw_series, shade

_MARGIN = 30
"""[px] right of the legend before the layout, which moves it to the right by some of them."""
_FONT: dict[Any, Any] = {"font.size": 11, "legend.fontsize": 10, "text.parse_math": False}


class MovingTraces:
    """Feature traces over gripper and height of one episode, in (width, height) pixels."""

    def __init__(
        self,
        trace: EpisodeTrace,
        catalogues: Mapping[str, Catalogue],
        features: Sequence[FeatureName],
        size: tuple[int, int],
    ) -> None:
        self._rate = trace.control_rate
        with matplotlib.rc_context(_FONT):
            figure = Figure(figsize=(size[0] / 100, size[1] / 100), dpi=100)
            canvas = FigureCanvasAgg(figure)
            axes = figure.subplots(3, 1, sharex=True, height_ratios=[1.7, 1, 1])
            shade(trace, axes)
            draw_features(axes[0], trace, catalogues, list(features))
            for each, panel in zip(axes[1:], PANELS[:2], strict=True):
                draw_series(each, trace, panel.series(trace), None, None)
                each.set_ylabel(panel.label)
            axes[-1].set_xlabel("time since the first observation [s]")
            axes[-1].set_xlim(0, trace.steps / trace.control_rate)
            figure.align_ylabels()
            canvas.draw()
            _cut_to_fit(axes[0].get_legend(), size[0] - _MARGIN)
            figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.06))
            canvas.draw()
            self._picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
            boxes = [each.get_window_extent() for each in axes]
            self._spans = [(size[1] - box.y1, size[1] - box.y0) for box in boxes]
            self._place = axes[-1].transData

    def at(self, step: int) -> Image.Image:
        """Return the traces with the line at this step."""
        picture = self._picture.copy()
        draw = ImageDraw.Draw(picture)
        x = float(self._place.transform((step / self._rate, 0.0))[0])
        for top, bottom in self._spans:
            draw.line((x, top, x, bottom), fill=colours.rgb(colours.VERMILION), width=2)
        return picture


def _cut_to_fit(legend: Legend, right: float) -> None:
    """Cut the words of a legend that has been drawn at `right` [px].

    A layout makes room for all of them, at the cost of the traces' width.
    """
    for text in legend.get_texts():
        words = text.get_text()
        box = text.get_window_extent()
        if box.x1 > right:
            kept = int(len(words) * max(right - box.x0, 0.0) / box.width) - 1
            text.set_text(words[: max(kept, 1)].rstrip() + "…")
