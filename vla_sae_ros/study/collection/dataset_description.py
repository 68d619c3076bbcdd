"""What a LeRobotDataset says of itself in meta/info.json; read without lerobot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.json_document import parse_json

STATE = "observation.state"


def offered_features(folder: Path) -> dict[str, tuple[int, ...] | None]:
    """Return the observations of a data set with their shapes, None for pictures.

    Raises:
        ConfigurationError: no such data set, or one of a version that lerobot does not read.
    """
    features = _description(folder)["features"]
    return {
        name: None if feature["dtype"] in ("image", "video") else tuple(feature["shape"])
        for name, feature in features.items()
        if name.startswith("observation.")
    }


def state_names(folder: Path) -> tuple[str, ...]:
    """Return what a data set calls the numbers of its state, in their order; empty where it does
    not name each.

    Raises:
        ConfigurationError: no such data set, or one of a version that lerobot does not read.
    """
    feature = _description(folder)["features"].get(STATE, {})
    names = feature.get("names")
    if isinstance(names, dict):  # {"motors": [...]}
        lists = [one for one in names.values() if isinstance(one, list)]
        names = [name for one in lists for name in one]
    if not isinstance(names, list) or [len(names)] != list(feature.get("shape", ())):
        return ()
    return tuple(str(name) for name in names)


def _description(folder: Path) -> dict[str, Any]:
    """Return info.json; raises ConfigurationError for a version that lerobot does not read."""
    path = folder / "meta" / "info.json"
    if not path.is_file():
        raise ConfigurationError(
            complaint("LeRobotDataset", str(folder), "a folder with meta/info.json")
        )
    try:
        description: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
        version = description["codebase_version"]
        _check_features(description["features"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"{path} is not a description of a data set ({type(error).__name__}: {error}). Copy "
            "the data set again."
        ) from error
    if not str(version).startswith("v3."):
        raise ConfigurationError(
            complaint(
                f"codebase_version in {path}",
                version,
                "v3.x",
                "Convert the data set with lerobot's own converter first: python -m "
                "lerobot.scripts.convert_dataset_v21_to_v30 --repo-id OWNER/NAME (or --root).",
            )
        )
    return description


def _check_features(features: dict[str, dict[str, Any]]) -> None:
    """Raise ValueError, KeyError, TypeError or AttributeError for what describes no features."""
    for name, feature in features.items():
        if feature["dtype"] in ("image", "video"):
            continue
        shape = feature["shape"]
        if not isinstance(shape, list) or not all(type(n) is int and n > 0 for n in shape):
            raise ValueError(f"shape of {name}: {shape!r}")
