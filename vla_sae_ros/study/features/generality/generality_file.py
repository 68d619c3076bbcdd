"""generality.json, beside a bundle's catalogue: what the classes in it were made with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.json_document import parse_json

GENERALITY_FILE = "generality.json"


def read_generality(folder: Path, bundle_id: str) -> dict[str, Any]:
    """Return the content of a bundle's generality.json; empty where there is none.

    Raises:
        ConfigurationError: a damaged file, or another bundle's.
    """
    path = folder / GENERALITY_FILE
    if not path.exists():
        return {}
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        said = content["bundle_id"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"Cannot read {path}: {error}. Delete it and run `vla-sae classify` again."
        ) from error
    if said != bundle_id:
        next_step = "Delete it and run `vla-sae classify`."
        raise ConfigurationError(complaint(f"bundle of {path}", said, bundle_id, next_step))
    return dict(content)


def said_classes(generality: Mapping[str, Any]) -> dict[int, str]:
    """Return what a person once said of features' classes; of `read_generality`'s content."""
    return {int(feature): said for feature, said in generality.get("labels", {}).items()}
