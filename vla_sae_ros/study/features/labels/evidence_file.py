"""evidence.json, beside a bundle's catalogue: what its labels rest on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.json_document import parse_json
from vla_sae_ros.core.whole_file import write_whole
from vla_sae_ros.study.features.labels.top_episodes import Peak

EVIDENCE_FILE = "evidence.json"
_FORMAT = 1


@dataclass(frozen=True)
class FeatureEvidence:
    """What is known about one feature that fires.

    variable: the one it follows best on the training episodes; empty where none was known.
    r_training, r_held_out: Pearson's r with it; NaN where either is constant.
    named: whether that was enough for a label. top: its best episodes, best first.
    stability: bundle id of another seed -> largest decoder cosine in it.
    """

    feature: int
    variable: str
    r_training: float
    r_held_out: float
    named: bool
    top: tuple[Peak, ...]
    stability: Mapping[str, float]


@dataclass(frozen=True)
class Evidence:
    """The content of evidence.json.

    held_out: ids of the episodes that r_held_out is of. chosen_by: "bundle", when they were not
    trained on, or "split", when they were drawn anew from the folder.
    mean_stability: bundle id of another seed -> mean over the features that fire.
    """

    bundle_id: str
    episodes: int
    held_out: tuple[str, ...]
    chosen_by: str
    variables: tuple[str, ...]
    mean_stability: Mapping[str, float]
    features: tuple[FeatureEvidence, ...]

    def save(self, folder: Path) -> None:
        """Write evidence.json in a bundle's folder, whole or not at all; what is NaN is null."""
        content = {"format": _FORMAT, **asdict(self)}
        rows = content.pop("features")
        for row in rows:
            row |= {name: None for name in ("r_training", "r_held_out") if math.isnan(row[name])}
        head = json.dumps(content, ensure_ascii=False)[:-1]
        lines = ",\n".join(json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
        text = f'{head}, "features": [\n{lines}\n]}}\n'
        write_whole(folder / EVIDENCE_FILE, text.encode())

    @classmethod
    def load(cls, folder: Path, bundle_id: str) -> Evidence | None:
        """Read evidence.json of a bundle's folder; None where there is none.

        Raises ConfigurationError for a damaged file and for one of another bundle.
        """
        path = folder / EVIDENCE_FILE
        if not path.exists():
            return None
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
            if content.pop("format") != _FORMAT:
                raise ValueError(f"not in format {_FORMAT}")
            content["features"] = map(_feature, content["features"])
            for name in ("held_out", "variables", "features"):
                content[name] = tuple(content[name])
            found = cls(**content)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigurationError(
                f"Cannot read {path}: {error}. Delete it and run `vla-sae label` again."
            ) from error
        if found.bundle_id != bundle_id:
            next_step = "It was copied from there: delete it and run `vla-sae label`."
            raise ConfigurationError(
                complaint(f"bundle of {path}", found.bundle_id, bundle_id, next_step)
            )
        return found


def _feature(row: dict[str, Any]) -> FeatureEvidence:
    row |= {name: math.nan for name in ("r_training", "r_held_out") if row[name] is None}
    return FeatureEvidence(**{**row, "top": tuple(Peak(**one) for one in row["top"])})
