"""The report of a bundle: everything that is known about it on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from vla_sae_ros.study.pages.histogram_svg import histogram_svg
from vla_sae_ros.study.pages.template import write_template_page
from vla_sae_ros.study.reports.contact_frames import ContactFrames
from vla_sae_ros.study.reports.report_rows import FeatureRow, Known, table_data

_METRICS = {
    "fvu": ("FVU, held-out episodes", "{:.4f}"),
    "fvu_training": ("FVU, training episodes", "{:.4f}"),
    "l0": ("L0, active features per sample", "{:.1f}"),
    "dead_share": ("never fire on training episodes", "{:.1%}"),
    "dead_share_held_out": ("never fire on held-out episodes", "{:.1%}"),
    "substitution_action_error": ("mean change of actions with the reconstruction", "{:.3f}"),
    "substitution_action_spread": ("mean distance of plain actions from their mean", "{:.3f}"),
    "success_plain": ("success, plain", "{:.0%}"),
    "success_substituted": ("success with the reconstruction", "{:.0%}"),
    "substitution_episodes": ("episodes of these two", "{:.0f}"),
}


@dataclass(frozen=True)
class _Histogram:
    """One metric; svg is None where a bundle that was classified long ago does not have it."""

    name: str
    meaning: str
    svg: Markup | None


def write_report(
    path: Path, known: Known, rows: Sequence[FeatureRow], frames: ContactFrames | None, top: int
) -> None:
    """Write the page; a sheet has at most `top` episodes.

    `frames` is None where no activations were given.
    """
    card = known.bundle.card
    write_template_page(
        path,
        "report.html",
        bundle_id=known.bundle.bundle_id,
        card=card,
        architecture=known.bundle.sae.architecture,
        recipe=card.data.get("training", {}),
        metrics=[
            (*_METRICS.get(name, (name.replace("_", " "), "{:.4g}")), value)
            for name, value in sorted(card.metrics.items(), key=_metric_order)
        ],
        by_task=card.data.get("fvu_by_task", {}),
        alive=sum(row.alive for row in rows),
        named=sum(bool(row.entry.label) for row in rows),
        evidence=known.evidence,
        generality=known.generality,
        counts={
            name: sum(row.entry.feature_class == name for row in rows)
            for name in ("general", "memorized")
        },
        density=_density(rows),
        histograms=_histograms(known, rows),
        frames=frames,
        episodes=len(known.activity.instructions) if known.activity else 0,
        top=top,
        rows=table_data(rows, frames, known.bundle.bundle_id),
    )


def _metric_order(metric: tuple[str, float]) -> int:
    known = list(_METRICS)
    return known.index(metric[0]) if metric[0] in known else len(known)


def _density(rows: Sequence[FeatureRow]) -> Markup:
    values = np.array([row.density for row in rows], np.float64)
    return histogram_svg(
        "density", "share of inferences, logarithmic", [("plain", values)], decades=True
    )


def _histograms(known: Known, rows: Sequence[FeatureRow]) -> list[_Histogram]:
    """Return the four metrics of the classifier, general features below memorized ones."""
    classes = np.array([row.entry.feature_class for row in rows])
    if not np.isin(classes, ("general", "memorized")).any():
        return []
    magnitude = known.generality.get("magnitude")
    metrics: dict[str, tuple[str, str, list[float] | None]] = {
        "episode coverage": (
            "share of episodes in which it fires",
            "share",
            [row.entry.coverage for row in rows],
        ),
        "onset count": (
            "onsets per episode that has one",
            "onsets",
            [row.entry.onset_count for row in rows],
        ),
        "activation magnitude": (
            "mean of an episode's largest activation, for samples of unit length",
            "activation",
            magnitude,
        ),
        "relative run length": (
            "mean run over the episode's length",
            "share of the episode",
            [row.entry.relative_run_length for row in rows],
        ),
    }
    return [
        _Histogram(name, meaning, _by_class(name, unit, values, classes) if values else None)
        for name, (meaning, unit, values) in metrics.items()
    ]


def _by_class(name: str, unit: str, values: list[float], classes: np.ndarray) -> Markup:
    numbers = np.array(values, np.float64)
    series = [(kind, numbers[classes == kind]) for kind in ("general", "memorized")]
    return histogram_svg(name, unit, series)
