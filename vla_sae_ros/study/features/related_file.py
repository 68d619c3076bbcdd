"""related.json, beside a bundle's catalogue: which features fire together, here and elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.json_document import parse_json
from vla_sae_ros.core.whole_file import write_whole

RELATED_FILE = "related.json"
_FORMAT = 1


@dataclass(frozen=True)
class Relative:
    """A feature that goes with another one.

    r: Pearson's correlation of their codes. share: of the inferences at which the other fires this
    one fires in so many. cosine: of their decoder rows, where both write into the same stream.
    """

    feature: int
    label: str
    r: float
    share: float
    cosine: float | None


@dataclass(frozen=True)
class Relatives:
    """The relatives of a bundle's features in one bundle, best first; only those that have any.

    site, policy: of that bundle; inferences: how many were compared.
    """

    bundle_id: str
    policy: str
    site: str
    inferences: int
    of: Mapping[int, tuple[Relative, ...]]


def save_relatives(folder: Path, bundle_id: str, found: list[Relatives]) -> None:
    """Write related.json in a bundle's folder, whole or not at all."""
    content = {"format": _FORMAT, "bundle_id": bundle_id, "in": [asdict(one) for one in found]}
    write_whole(folder / RELATED_FILE, json.dumps(content, ensure_ascii=False).encode())


def read_relatives(folder: Path, bundle_id: str) -> list[Relatives]:
    """Read related.json of a bundle's folder; empty without one.

    Raises ConfigurationError for a damaged file and for one of another bundle.
    """
    path = folder / RELATED_FILE
    if not path.exists():
        return []
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise ValueError(f"not in format {_FORMAT}")
        if content["bundle_id"] != bundle_id:
            raise ValueError(f"of bundle {content['bundle_id']}, and this one is {bundle_id}")
        return [
            Relatives(
                **{
                    **one,
                    "of": {
                        int(feature): tuple(Relative(**relative) for relative in own)
                        for feature, own in one["of"].items()
                    },
                }
            )
            for one in content["in"]
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(
            f"Cannot read {path}: {error}. Delete it and run `vla-sae relate` again."
        ) from error
