"""Two episodes on an interactive page: turn the paths in space, zoom into the traces."""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vla_sae_ros.study.plots import colours
from vla_sae_ros.study.plots.interactive import write_page
from vla_sae_ros.study.plots.paired_effect import PairedEffect
from vla_sae_ros.study.plots.traces_plot import PANELS

_COLOURS, _DASHES = (colours.BLUE, colours.VERMILION), ("dash", "solid")
HEIGHT = 1000


def write_paired_page(path: Path, effect: PairedEffect, names: tuple[str, str]) -> None:
    """Write the page, with plotly's own code inside."""
    names = escape(names[0]), escape(names[1])
    panels = PANELS[:2]
    rows = len(panels) + 1
    figure = make_subplots(
        rows=rows,
        cols=2,
        column_widths=[0.5, 0.5],
        vertical_spacing=0.06,
        specs=[[{"type": "scene", "rowspan": rows}, {}], *[[None, {}]] * (rows - 1)],
    )
    rate = effect.a.control_rate
    for number, (trace, name) in enumerate(zip((effect.a, effect.b), names, strict=True)):
        line = {"color": _COLOURS[number], "width": 5, "dash": _DASHES[number]}
        x, y, z = trace.position.values.T
        figure.add_trace(
            go.Scatter3d(
                x=x,
                y=y,
                z=z,
                name=name,
                mode="lines",
                line=line,
                legendgroup=name,
                customdata=trace.position.step / rate,
                hovertemplate="%{customdata:.2f} s<br>%{x:.3f}, %{y:.3f}, %{z:.3f} m",
            ),
            row=1,
            col=1,
        )
        for row, panel in enumerate(panels, 1):
            series = panel.series(trace)
            figure.add_trace(
                go.Scatter(
                    x=series.step / rate,
                    y=series.values,
                    name=name,
                    legendgroup=name,
                    showlegend=False,
                    line={**line, "width": 2},
                ),
                row=row,
                col=2,
            )
            figure.update_yaxes(title_text=panel.label.replace("\n", " "), row=row, col=2)
    figure.add_trace(
        go.Scatter(
            x=np.arange(effect.steps + 1) / rate,
            y=1000 * effect.distance,
            name="hands apart",
            line={"color": "black"},
        ),
        row=rows,
        col=2,
    )
    figure.update_yaxes(title_text="hands apart [mm]", row=rows, col=2)
    figure.update_xaxes(title_text="time since the first observation [s]", row=rows, col=2)
    for first, last in effect.windows:
        for row in range(1, rows + 1):
            figure.add_vrect(
                x0=first / rate,
                x1=last / rate,
                fillcolor=colours.STEERING,
                opacity=0.4,
                line_width=0,
                layer="below",
                row=row,
                col=2,
                exclude_empty_subplots=False,
            )
    figure.update_scenes(
        xaxis_title="x [m]", yaxis_title="y [m]", zaxis_title="height [m]", aspectmode="data"
    )
    title = f"“{escape(effect.a.instruction)}”: {names[0]} and {names[1]}"
    write_page(path, figure, title, HEIGHT)
