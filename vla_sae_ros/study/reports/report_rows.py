"""The features of a bundle as the rows of a page's table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vla_sae_ros.core.catalogue import FeatureEntry
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.features.feature_activity import FeatureActivity
from vla_sae_ros.study.features.generality.generality_file import read_generality
from vla_sae_ros.study.features.labels.evidence_file import Evidence, FeatureEvidence
from vla_sae_ros.study.features.labels.proposals import Proposal, best, read_proposals
from vla_sae_ros.study.features.labels.top_episodes import Peak
from vla_sae_ros.study.features.related_file import Relative, Relatives, read_relatives
from vla_sae_ros.study.reports.contact_frames import ContactFrames


@dataclass(frozen=True)
class Known:
    """All that is known about a bundle.

    generality: content of generality.json, or empty. proposals: a vision model's, by feature.
    relatives: features that fire together with its own, in each bundle that it was related to.
    """

    bundle: SaeBundle
    evidence: Evidence | None
    generality: dict[str, Any]
    activity: FeatureActivity | None
    proposals: Mapping[int, Proposal]
    relatives: Sequence[Relatives]

    @classmethod
    def of(cls, folder: Path, bundle: SaeBundle, activity: FeatureActivity | None) -> Known:
        """Read what lies beside the catalogue. Raises ConfigurationError for another bundle's."""
        evidence = Evidence.load(folder, bundle.bundle_id)
        generality = read_generality(folder, bundle.bundle_id)
        proposals = best(read_proposals(folder, bundle.bundle_id))
        relatives = read_relatives(folder, bundle.bundle_id)
        return cls(bundle, evidence, generality, activity, proposals, relatives)


@dataclass(frozen=True)
class FeatureRow:
    """One feature. density: NaN when unknown. trace: (BINS,) mean code, or None."""

    entry: FeatureEntry
    alive: bool
    density: float
    evidence: FeatureEvidence | None
    top: tuple[Peak, ...]
    trace: np.ndarray | None
    proposal: Proposal | None
    relatives: tuple[tuple[Relatives, Relative], ...]

    @property
    def weight(self) -> tuple[bool, bool, float]:
        """Return what decides whose pictures come first: named, general, often active."""
        density = 0.0 if math.isnan(self.density) else self.density
        return bool(self.entry.label), self.entry.feature_class == "general", density


def feature_rows(known: Known, top: int) -> list[FeatureRow]:
    """Return a row for every feature of the dictionary, with at most `top` episodes."""
    by_feature = {one.feature: one for one in known.evidence.features} if known.evidence else {}
    return [
        _row(known, feature, by_feature.get(feature), top)
        for feature in range(known.bundle.sae.dictionary_size)
    ]


def _row(known: Known, feature: int, evidence: FeatureEvidence | None, top: int) -> FeatureRow:
    entry = known.bundle.catalogue.get(feature) or FeatureEntry(feature)
    activity = known.activity
    peaks = activity.top.peaks(feature) if activity else evidence.top if evidence else ()
    classified = entry.feature_class in ("general", "memorized")
    density = entry.density
    if activity is not None and math.isnan(density):
        density = float(activity.density[feature])
    return FeatureRow(
        entry,
        alive=bool(peaks) or classified or entry.observed_max > 0,
        density=density,
        evidence=evidence,
        top=peaks[:top],
        trace=activity.mean_trace[:, feature] if activity and peaks else None,
        proposal=known.proposals.get(feature),
        relatives=tuple((one, own) for one in known.relatives for own in one.of.get(feature, ())),
    )


def table_data(
    rows: Sequence[FeatureRow], frames: ContactFrames | None, bundle_id: str
) -> list[dict[str, Any]]:
    """Return the rows as small plain data for the page's script; what is unknown is null."""
    return [_datum(row, frames, bundle_id) for row in rows]


def _datum(row: FeatureRow, frames: ContactFrames | None, bundle_id: str) -> dict[str, Any]:
    entry, evidence = row.entry, row.evidence
    stability = list(evidence.stability.values()) if evidence else []
    return {
        "feature": entry.feature,
        "label": entry.label,
        "source": entry.label_source,
        "class": entry.feature_class,
        "alive": row.alive,
        "p": _short(entry.general_probability),
        "coverage": _short(entry.coverage),
        "onsets": _short(entry.onset_count),
        "run": _short(entry.relative_run_length),
        "density": _short(row.density),
        "largest": _short(entry.observed_max),
        "r": _short(evidence.r_held_out if evidence else math.nan),
        "variable": evidence.variable if evidence else "",
        "stability": _short(float(np.mean(stability)) if stability else math.nan),
        "text": entry.description,
        "notes": entry.notes,
        "proposed": _proposed(row.proposal) if row.proposal else "",
        "tests": [
            {"outcome": one.outcome, "label": one.label, "words": one.words, "study": one.study}
            for one in entry.tests
        ],
        "related": [_related(*pair, bundle_id) for pair in row.relatives],
        "top": [_shown(entry.feature, one, frames) for one in row.top],
        "trace": percent(row.trace) if row.trace is not None else None,
    }


def _proposed(one: Proposal) -> str:
    return f"{one.model} proposes “{one.name}” ({one.score} pictures right): {one.description}"


def _related(where: Relatives, one: Relative, bundle_id: str) -> dict[str, Any]:
    own = where.bundle_id == bundle_id
    return {
        "where": "" if own else f"{where.policy} {where.site}, bundle {where.bundle_id}",
        "feature": one.feature,
        "label": one.label,
        "r": one.r,
        "share": one.share,
        "cosine": one.cosine,
    }


def _shown(feature: int, peak: Peak, frames: ContactFrames | None) -> list[Any]:
    """Return episode, step, activation and the numbers of picture and heatmap, null for none."""
    key = (peak.episode_id, peak.step)
    picture = frames.index.get(key) if frames else None
    heatmap = frames.heatmaps.get((*key, feature)) if frames else None
    return [*key, _short(peak.value), picture, heatmap]


def percent(trace: np.ndarray) -> list[int]:
    """Return a trace of values from 0 on as whole percent of its largest."""
    return [round(100 * v) for v in (trace / max(float(trace.max()), 1e-30)).tolist()]


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None
