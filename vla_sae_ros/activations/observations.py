"""Whole observations of collected episodes, without loss: what the policy can be asked again."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vla_sae_ros.activations.archive import (
    archive_path,
    archived_names,
    read_archived,
)
from vla_sae_ros.activations.format import CollectionError
from vla_sae_ros.activations.source import PolicyQuery
from vla_sae_ros.core.json_document import parse_json

OBSERVATIONS_FOLDER = "observations"
_ASKED = "asked.json"
_PNG_EFFORT = 3


def observation_files(moment: PolicyQuery) -> list[tuple[str, bytes]]:
    """Return what the policy was asked as files, (name, content), of an episode's archive."""
    vectors, files = {}, []
    for name, value in moment.frame.items():
        if value.ndim == 3:
            files.append((_name(moment.step, name + ".png"), _png(value)))
        else:
            vectors[name] = np.asarray(value, np.float64).tolist()  # exact for float32
    asked = {"instruction": moment.instruction, "seed": moment.seed, "vectors": vectors}
    asked["pictures"] = [name for name, value in moment.frame.items() if value.ndim == 3]
    files.append((_name(moment.step, _ASKED), json.dumps(asked).encode()))
    return files


def observed_steps(folder: Path, episode_id: str) -> list[int]:
    """Return the control steps of an episode whose observations were kept, ascending."""
    names = archived_names(folder, OBSERVATIONS_FOLDER, episode_id)
    return sorted(int(name.split("/")[0]) for name in names if name.endswith(_ASKED))


def read_observation(folder: Path, episode_id: str, step: int) -> PolicyQuery | None:
    """Return the observation of one inference; None where it was not kept.

    Raises CollectionError for a damaged file.
    """

    def read(name: str) -> bytes | None:
        return read_archived(folder, OBSERVATIONS_FOLDER, episode_id, _name(step, name))

    text = read(_ASKED)
    if text is None:
        return None
    try:
        asked: dict[str, Any] = parse_json(text)
        frame: dict[str, np.ndarray] = {
            name: np.asarray(Image.open(io.BytesIO(read(name + ".png") or b"")))
            for name in asked["pictures"]
        }
        for name, vector in asked["vectors"].items():
            frame[name] = np.array(vector, np.float32)
        return PolicyQuery(frame, asked["instruction"], asked["seed"], step)
    except (ValueError, KeyError, OSError) as error:
        path = archive_path(folder, OBSERVATIONS_FOLDER, episode_id)
        raise CollectionError(
            f"The observation of step {step} in {path} is damaged ({error}). Delete the file to "
            "continue without it."
        ) from error


def _png(picture: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "PNG", compress_level=_PNG_EFFORT)
    return data.getvalue()


def _name(step: int, what: str) -> str:
    return f"{step:06d}/{what}"
