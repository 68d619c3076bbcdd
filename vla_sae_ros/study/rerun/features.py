"""Features as series and as a table of the strongest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import rerun as rr

from vla_sae_ros.study.plots import colours
from vla_sae_ros.study.plots.feature_choice import FeatureName
from vla_sae_ros.study.rerun.names import FeatureNames

APPLIED, NATURAL, STRONGEST = "features/applied", "features/natural", "strongest"
"""Entities: below the first two `<site>/<feature>`, below the third `<site>`."""

NORM = "edit_norm"
"""||dx|| / ||x||; below it `<site>`."""

_ROWS = 12


class ShownFeatures:
    """Which features are drawn as series: those named; or, of each site, the strongest of its first
    inference and each one from when it is edited.
    """

    def __init__(self, named: Iterable[FeatureName] = (), follow: int = 0) -> None:
        """Show `named`; with `follow` as many of a site's strongest, and what is edited, too."""
        self._follow = follow
        self._shown: dict[str, list[int]] = {}
        self._ranked: set[str] = set()
        for site, feature in named:
            self._shown.setdefault(site, []).append(feature)

    def of(self, message: Any, names: FeatureNames) -> list[int]:
        """Return the features to draw of an inference, those of this FeatureActivations added."""
        shown = self._shown.setdefault(message.site, [])
        if not self._follow:
            return shown
        wanted = message.index[message.applied != message.natural].tolist()
        if len(message.index) and message.site not in self._ranked:
            self._ranked.add(message.site)
            wanted += [feature for feature, *_ in strongest(message, names, self._follow)]
        shown += [feature for feature in dict.fromkeys(wanted) if feature not in shown]
        return shown

    def colour(self, name: FeatureName) -> str:
        """Return the colour of a feature's line."""
        order = [(site, feature) for site, of in self._shown.items() for feature in of]
        return colours.LINES[order.index(name) % len(colours.LINES)]


class FeatureSeries:
    """Draws the inferences of one recording."""

    def __init__(
        self, stream: rr.RecordingStream, names: FeatureNames, shown: ShownFeatures
    ) -> None:
        self._stream, self._names, self._shown = stream, names, shown
        self._styled: set[FeatureName] = set()

    def draw(self, message: Any) -> None:
        """Draw one FeatureActivations; a feature that it does not list is 0."""
        for feature in self._shown.of(message, self._names):
            name = str(message.site), feature
            if name not in self._styled:
                self._style(name)
            found = np.flatnonzero(message.index == feature)
            for tree, values in ((APPLIED, message.applied), (NATURAL, message.natural)):
                value = float(values[found[0]]) if len(found) else 0.0
                self._stream.log(_path(tree, name), rr.Scalars(value))
        self._stream.log([NORM, message.site], rr.Scalars(float(message.edit_norm_ratio)))
        text = rr.TextDocument(self._table(message), media_type=rr.MediaType.MARKDOWN)
        self._stream.log([STRONGEST, message.site], text)

    def relabel(self) -> None:
        """Take the names of a new catalogue."""
        for name in self._styled:
            self._style(name)

    def _style(self, name: FeatureName) -> None:
        self._styled.add(name)
        title = self._names.title(name)
        for tree in (APPLIED, NATURAL):
            style = rr.SeriesLines(
                colors=[colours.rgb(self._shown.colour(name))], widths=[2.0], names=[title]
            )
            self._stream.log(_path(tree, name), style, static=True)

    def _table(self, message: Any) -> str:
        lines = ["| # | feature | z | x max |", "| --- | --- | --- | --- |"]
        for feature, natural, applied, largest in strongest(message, self._names, _ROWS):
            label = _plain(self._names.label((message.site, feature)))
            value = f"{applied:.3g}" + (f" (was {natural:.3g})" if applied != natural else "")
            share = f"{applied / largest:.2f}" if largest else ""
            lines.append(f"| {feature} | {label} | {value} | {share} |")
        return "\n".join(lines)


def strongest(
    message: Any, names: FeatureNames, count: int
) -> list[tuple[int, float, float, float]]:
    """Return (feature, natural, applied, observed maximum) of the strongest of an inference.

    Strength is what is applied, in observed maxima where they are known.
    """
    rows = [
        (int(feature), float(natural), float(applied), names.observed_max((message.site, feature)))
        for feature, natural, applied in zip(
            message.index.tolist(), message.natural, message.applied, strict=True
        )
    ]
    return sorted(rows, key=lambda row: (-row[2] / (row[3] or 1.0), row[0]))[:count]


def _path(tree: str, name: FeatureName) -> list[object]:
    return [*tree.split("/"), name[0], str(name[1])]


def _plain(text: str) -> str:
    """Return Markdown that shows the text as it is: a label may be anybody's."""
    return re.sub(r"([^\w\s])", r"\\\1", text)
