"""Self-contained HTML pages of plots: they open without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vla_sae_ros.bags.episode_trace import EpisodeTrace
from vla_sae_ros.core.catalogue import Catalogue
from vla_sae_ros.study.plots import colours
from vla_sae_ros.study.plots.feature_choice import FeatureName, chosen_features, observed_max
from vla_sae_ros.study.plots.marks import marks_of
from vla_sae_ros.study.plots.traces_plot import PANELS, episode_title, feature_title

_DASHES = ("solid", "dash", "dashdot", "dot", "longdash", "longdashdot")
FEATURES = 12


def write_traces_page(
    path: Path,
    trace: EpisodeTrace,
    catalogues: Mapping[str, Catalogue],
    features: Sequence[FeatureName] = (),
) -> None:
    """Write an HTML page of feature traces over gripper, height and speed, to zoom and hover in.

    Without `features` the edited and the most active ones; the page holds more than the picture,
    all but the first six hidden until clicked in the legend.
    """
    figure = make_subplots(
        rows=1 + len(PANELS),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.03,
        row_heights=[0.46] + [0.18] * len(PANELS),
    )
    names = list(features) or chosen_features(trace, catalogues, FEATURES)
    for number, name in enumerate(names):
        _add_feature(figure, trace, catalogues, name, number)
    figure.update_yaxes(title_text="activation [observed maxima]", row=1, col=1)
    for row, panel in enumerate(PANELS, 2):
        series = panel.series(trace)
        figure.add_trace(
            go.Scatter(
                x=series.step / trace.control_rate,
                y=series.values,
                mode="lines",
                showlegend=False,
                line={"color": colours.BLACK, "width": 2},
                name=panel.label.replace("\n", " "),
            ),
            row=row,
            col=1,
        )
        figure.update_yaxes(title_text=panel.label.replace("\n", "<br>"), row=row, col=1)
    _add_moments(figure, trace)
    figure.update_xaxes(
        title_text="time since the first observation [s]", row=1 + len(PANELS), col=1
    )
    write_page(path, figure, escape(episode_title(trace)).replace("\n", "<br>"))


def write_page(path: Path, figure: go.Figure, title: str, height: int = 900) -> None:
    """Write a figure with plotly's own code inside."""
    figure.update_layout(
        title=title,
        template="plotly_white",
        height=height,
        hovermode="x unified" if height == 900 else "closest",
        font={"size": 14},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.write_html(path, include_plotlyjs=True, full_html=True)


def _add_feature(
    figure: go.Figure,
    trace: EpisodeTrace,
    catalogues: Mapping[str, Catalogue],
    name: FeatureName,
    number: int,
) -> None:
    site, feature = name
    stream, unit = trace.features[site], observed_max(catalogues, name) or 1.0
    natural, applied = stream.dense([feature])
    time = stream.step / trace.control_rate
    colour = colours.LINES[number % len(colours.LINES)]
    title = escape(feature_title(catalogues.get(site), site, feature))
    shown = True if number < len(colours.LINES) else "legendonly"
    figure.add_trace(
        go.Scatter(
            x=time,
            y=applied[:, 0] / unit,
            name=title,
            visible=shown,
            legendgroup=title,
            line={
                "shape": "hv",
                "color": colour,
                "width": 2.5,
                "dash": _DASHES[number % len(_DASHES)],
            },
        ),
        row=1,
        col=1,
    )
    if feature in stream.edited():
        figure.add_trace(
            go.Scatter(
                x=time,
                y=natural[:, 0] / unit,
                name="before the edit",
                visible=shown,
                legendgroup=title,
                mode="lines+markers",
                line={"shape": "hv", "color": colour, "width": 1},
                marker={"size": 4},
            ),
            row=1,
            col=1,
        )


def _add_moments(figure: go.Figure, trace: EpisodeTrace) -> None:
    for first, last in trace.steering_windows():
        figure.add_vrect(
            x0=first / trace.control_rate,
            x1=last / trace.control_rate,
            fillcolor=colours.STEERING,
            opacity=0.4,
            line_width=0,
            layer="below",
            row="all",
            col=1,
        )
    for mark in marks_of(trace):
        time = mark.step / trace.control_rate
        colour = colours.VERMILION if mark.by_person else "#555555"
        figure.add_vline(x=time, line={"color": colour, "dash": "dot", "width": 1})
        figure.add_annotation(
            x=time,
            y=1.0,
            yref="paper",
            yanchor="bottom",
            text=escape(mark.text),
            showarrow=False,
            textangle=-20,
            font={"size": 11, "color": colour},
        )
