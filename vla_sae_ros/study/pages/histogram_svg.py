"""Histograms as small inline SVG, coloured by the page's own style."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape

_WIDTH, _HEIGHT, _FOOT, _HEAD = 300, 160, 34, 18
_BINS = 30


def histogram_svg(
    title: str, unit: str, series: Sequence[tuple[str, np.ndarray]], decades: bool = False
) -> Markup:
    """Return an <svg> of stacked bars; values that are not finite are left out.

    Args:
        title: said to who cannot see it. unit: written under the axis.
        series: (CSS class, values) from the bottom up.
        decades: values above 0 on a logarithmic axis.
    """
    shown = [(name, _usable(np.asarray(values, np.float64), decades)) for name, values in series]
    together = np.concatenate([values for _, values in shown])
    if not len(together):
        return Markup('<p class="note">No values.</p>')
    low, high = float(together.min()), float(together.max())
    if not decades:
        low = min(low, 0.0)
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    counts = [np.histogram(values, edges)[0] for _, values in shown]
    tallest = int(np.sum(counts, axis=0).max())
    parts = [
        Markup('<svg class="histogram" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            _WIDTH, _HEIGHT, title
        )
    ]
    floor: np.ndarray = np.full(_BINS, float(_HEIGHT - _FOOT))
    for (name, _), count in zip(shown, counts, strict=True):
        tall = count / tallest * (_HEIGHT - _FOOT - _HEAD)
        floor = floor - tall
        parts.append(_bars(name, floor, tall, count))
    return Markup("").join([*parts, *_axis(edges, tallest, unit, decades), Markup("</svg>")])


def _usable(values: np.ndarray, decades: bool) -> np.ndarray:
    finite = values[np.isfinite(values)]
    return np.log10(finite[finite > 0]) if decades else finite


def _bars(name: str, top: np.ndarray, tall: np.ndarray, count: np.ndarray) -> Markup:
    width = _WIDTH / _BINS
    bars = [
        f'<rect x="{i * width + 0.5:.1f}" y="{top[i]:.1f}" width="{width - 1:.1f}" '
        f'height="{tall[i]:.1f}"><title>{n}</title></rect>'
        for i, n in enumerate(count.tolist())
        if n
    ]
    return Markup('<g class="{}">').format(name) + Markup("".join(bars) + "</g>")


def _axis(edges: np.ndarray, tallest: int, unit: str, decades: bool) -> list[Markup]:
    foot = _HEIGHT - _FOOT
    ends = [f"{10**edge if decades else edge:.3g}" for edge in (edges[0], edges[-1])]
    line = f'<line class="axis" x1="0" x2="{_WIDTH}" y1="{foot}" y2="{foot}"/>'
    text = '<text x="{}" y="{}" text-anchor="{}">{}</text>'
    return [
        Markup(line),
        Markup(text).format(0, foot + 13, "start", ends[0]),
        Markup(text).format(_WIDTH, foot + 13, "end", ends[1]),
        Markup(text).format(_WIDTH / 2, foot + 28, "middle", escape(unit)),
        Markup(text).format(0, _HEAD - 7, "start", f"{tallest} features in the tallest bar"),
    ]
