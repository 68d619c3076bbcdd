"""What a monitor was made for and calibrated on: the content of monitor.yaml."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.settings import read_settings
from vla_sae_ros.core.whole_file import write_whole
from vla_sae_ros.core.yaml_document import read_yaml
from vla_sae_ros.monitors.scores import NAMES

MONITOR_FILE = "monitor.yaml"
FORMAT = 1


@dataclass(frozen=True)
class ScoreCard:
    """One score. window: [s] of observation time over which it is averaged; 0: not at all.

    quantile: of its band, in the band's scale.
    """

    name: str
    window: float
    quantile: float

    def __post_init__(self) -> None:
        """Raise ConfigurationError naming the first field that cannot be."""
        _require("score", self.name, self.name in NAMES, ", ".join(NAMES))
        fine = math.isfinite(self.window) and self.window >= 0.0
        _require(f"window of {self.name}", self.window, fine, "0.0 or more")
        fine = math.isfinite(self.quantile)
        _require(f"quantile of {self.name}", self.quantile, fine, "a finite number")


@dataclass(frozen=True)
class MonitorCard:
    """The content of monitor.yaml.

    policy_id: content id of the policy that was calibrated on. site, width, token_groups: what was
    read. bundle_id: content id of the SAE whose FVU it is and whose tap reads the site.
    control_rate: [Hz]. interval: control steps from one inference to the next in those episodes;
    with more inferences an episode has more chances of a false alarm.
    false_alarms: share of successful episodes that may raise one. rate_range: what the share is in
    90 of 100 calibrations with as many episodes (a beta distribution).
    fit_episodes, failing_fit_episodes, calibration_episodes: how many there were. seen: marks of
    all of them, see `study.monitoring.episodes`. score: the one that raises the alarm.
    data: where the episodes came from.
    """

    policy_id: str
    policy_name: str
    site: str
    width: int
    token_groups: tuple[str, ...]
    bundle_id: str
    control_rate: float
    interval: int
    false_alarms: float
    rate_range: tuple[float, ...]
    fit_episodes: int
    failing_fit_episodes: int
    calibration_episodes: int
    score: str
    scores: tuple[ScoreCard, ...]
    seen: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        """Raise ConfigurationError naming the first field that cannot be."""
        _require("format", self.format, self.format == FORMAT, FORMAT)
        for name in ("policy_id", "policy_name", "site", "bundle_id"):
            _require(name, getattr(self, name), bool(getattr(self, name)), "non-empty text")
        for name in ("width", "interval", "calibration_episodes"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        rate = self.control_rate
        _require("control_rate", rate, math.isfinite(rate) and rate > 0.0, "a number above 0")
        fine = 0.0 < self.false_alarms < 1.0
        _require("false_alarms", self.false_alarms, fine, "above 0, below 1")
        names = [one.name for one in self.scores]
        _require("scores", names, len(names) == len(set(names)) > 0, "at least one, none twice")
        _require("score", self.score, self.score in names, ", ".join(names))

    def of(self, name: str) -> ScoreCard:
        """Return the card of the score of this name; raises ConfigurationError without it."""
        for one in self.scores:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in self.scores)
        raise ConfigurationError(complaint("score of the monitor", name, known))

    def save(self, folder: Path) -> None:
        """Write monitor.yaml in a folder."""
        content = _plain(asdict(self))
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        write_whole(folder / MONITOR_FILE, text.encode())

    @classmethod
    def load(cls, folder: Path) -> MonitorCard:
        """Read monitor.yaml. Raises ConfigurationError naming the file, the line and the field."""
        path = folder / MONITOR_FILE
        if not path.is_file():
            raise ConfigurationError(
                complaint(
                    "not a folder of a monitor",
                    str(folder),
                    f"a folder with {MONITOR_FILE}",
                    "Make one with vla-sae monitor fit.",
                )
            )
        try:
            return read_settings(cls, read_yaml(path), "the card of a monitor")
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}") from error


def _plain(value: Any) -> Any:
    """Return what YAML writes without tags: lists in the place of tuples."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _require(name: str, got: object, fine: bool, allowed: object) -> None:
    if not fine:
        raise ConfigurationError(complaint(f"{name} of the monitor", got, allowed))
