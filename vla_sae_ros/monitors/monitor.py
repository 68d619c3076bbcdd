"""A monitor: its card, its scores and their bands; a folder of YAML and safetensors."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.whole_file import whole_folder
from vla_sae_ros.monitors.band import Band, read_band
from vla_sae_ros.monitors.card import MonitorCard, ScoreCard
from vla_sae_ros.monitors.scores import Score, read_score

ARRAYS_FILE = "monitor.safetensors"
_SCORE, _BAND = "score", "band"
_IDENTITY = ("policy_id", "site", "bundle_id", "control_rate", "false_alarms", "score")


@dataclass(frozen=True)
class Calibrated:
    """A score, the window [s] it is averaged over, and the band it has to stay in."""

    score: Score
    window: float
    band: Band


@dataclass(frozen=True)
class Monitor:
    """What is known of a policy's successful episodes. scores: by name, as the card lists them."""

    card: MonitorCard
    scores: dict[str, Calibrated]

    @property
    def monitor_id(self) -> str:
        """Content id, 16 hex digits: scores, bands and what they were made for."""
        identity = {name: getattr(self.card, name) for name in _IDENTITY}
        identity["scores"] = [asdict(one) for one in self.card.scores]
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
        for name, array in sorted(self._arrays().items()):
            digest.update(name.encode() + array.tobytes())
        return digest.hexdigest()[:16]

    def chosen(self, name: str) -> str:
        """Return which score raises the alarm: `name`, or the card's where it is empty.

        Raises:
            ConfigurationError: the monitor has no score of this name.
        """
        return self.card.of(name or self.card.score).name

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the monitor to `folder`, which must not exist; it appears whole or not at all."""
        folder = Path(folder)
        refuse_existing(folder)
        with whole_folder(folder) as part:
            save_file(self._arrays(), part / ARRAYS_FILE)
            self.card.save(part)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Monitor:
        """Read a monitor's folder. Raises ConfigurationError naming the file and what is wrong."""
        folder = Path(folder)
        card = MonitorCard.load(folder)
        path = folder / ARRAYS_FILE
        try:
            arrays = load_file(path)
        except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
            raise ConfigurationError(f"{path} cannot be read: {error}. Copy it again.") from error
        known = [f"{one.name}.{part}." for one in card.scores for part in (_SCORE, _BAND)]
        unknown = [name for name in arrays if not name.startswith(tuple(known))]
        if unknown:
            raise ConfigurationError(
                f"{path}: " + complaint("arrays", sorted(unknown), f"of {known}")
            )
        try:
            return cls(card, {one.name: _calibrated(one, card, arrays) for one in card.scores})
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}") from error

    def _arrays(self) -> dict[str, npt.NDArray[np.floating]]:
        return {
            f"{name}.{part}.{array}": np.ascontiguousarray(values)
            for name, one in self.scores.items()
            for part, arrays in ((_SCORE, one.score.arrays()), (_BAND, one.band.arrays()))
            for array, values in arrays.items()
        }


def refuse_existing(folder: Path) -> None:
    """Raise ConfigurationError when `folder` exists: a monitor is never overwritten."""
    if folder.exists():
        raise ConfigurationError(
            f"The folder {folder} exists already. Give another one, or delete it first."
        )


def _calibrated(
    one: ScoreCard, card: MonitorCard, arrays: dict[str, npt.NDArray[np.floating]]
) -> Calibrated:
    def of(part: str) -> dict[str, npt.NDArray[np.floating]]:
        start = f"{one.name}.{part}."
        return {
            name.removeprefix(start): array
            for name, array in arrays.items()
            if name.startswith(start)
        }

    score = read_score(one.name, of(_SCORE), card.width, card.control_rate)
    return Calibrated(score, one.window, read_band(of(_BAND), one.quantile))
