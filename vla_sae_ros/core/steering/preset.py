"""Presets: named sets of edits as YAML text, checked by key before they reach the steering.

format: 1
name: lift higher
bundles: {backbone.1: 0123456789abcdef}   # may be left out: then it is not checked
edits:
  - {site: backbone.1, feature: 12, mode: clamp, value: 4.0, unit: observed_max, ramp: 0.5}
  - {site: backbone.1, feature: 7, mode: project_out,
     when: {site: backbone.1, feature: 93, above: 0.5, for: 0.2, hysteresis: 0.1}}
  - {site: expert.1, feature: 265, mode: add, value: 0.0, unit: residual_norm,
     control: {reading: height, at: 0.25, kp: 4.0, ki: 8.0, bounds: [0.0, 1.0]}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import yaml

from vla_sae_ros.core.errors import ConfigurationError, SteeringRefused, complaint
from vla_sae_ros.core.settings import key_of, read_settings
from vla_sae_ros.core.steering.condition import Condition
from vla_sae_ros.core.steering.control import Control
from vla_sae_ros.core.steering.edit import Edit
from vla_sae_ros.core.steering.slot import Phase
from vla_sae_ros.core.steering.snapshot import StateView
from vla_sae_ros.core.yaml_document import parse_yaml, read_yaml

FORMAT = 1
MOST_CHARACTERS, MOST_VALUES = 64 * 1024, 10_000
"""Of a preset's text: what is longer holds up others until it is refused. Sixty-four edits that say
everything have half of it."""


@dataclass(frozen=True)
class Preset:
    """A named set of edits.

    Attributes:
        name: for people.
        edits: in the order of the file.
        bundles: site -> content id of the SAE bundle it was made with; a feature's number means
            another thing in another bundle. Empty = it does not say.
    """

    name: str
    edits: tuple[Edit, ...]
    bundles: Mapping[str, str] = field(default_factory=dict)

    def check_fits(self, serving: Mapping[str, str]) -> None:
        """Refuse a preset made with other bundles than those that serve (site -> content id).

        Raises:
            SteeringRefused: naming every site that differs.
        """
        differing = [
            f"{site} (preset {bundle}, serving {serving.get(site, 'nothing')})"
            for site, bundle in self.bundles.items()
            if serving.get(site) != bundle
        ]
        if differing:
            raise SteeringRefused(
                f"The preset {self.name!r} was made with other SAE bundles: "
                f"{', '.join(differing)}. Serve those bundles, or save the preset again; a preset "
                "without `bundles` is not checked."
            )


@dataclass(frozen=True)
class PresetFile:
    """A preset as it stands in a file."""

    format: int
    name: str
    edits: tuple[Edit, ...]
    bundles: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ConfigurationError(complaint("preset format", self.format, FORMAT))

    @property
    def preset(self) -> Preset:
        """The preset without what is the file's."""
        return Preset(self.name, self.edits, self.bundles)


def parse_preset(text: str) -> Preset:
    """Return the preset in this YAML text.

    Raises:
        SteeringRefused: too long, not YAML, an unknown or missing key or a wrong type, named by its
            line.
    """
    if len(text) > MOST_CHARACTERS:
        raise SteeringRefused(
            complaint("length of the preset", f"{len(text)} characters", MOST_CHARACTERS)
        )
    try:
        document = parse_yaml(text, MOST_VALUES)
        return read_settings(PresetFile, document, "the preset").preset
    except ConfigurationError as error:
        raise SteeringRefused(f"the preset cannot be used: {error}") from error


def read_preset(path: Path) -> Preset:
    """Return the preset in a file.

    Raises:
        ConfigurationError: the file cannot be read, or holds none, with the line at fault.
    """
    document = read_yaml(path)
    try:
        return read_settings(PresetFile, document, "the preset").preset
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def preset_of(name: str, view: StateView, bundles: Mapping[str, str]) -> Preset:
    """Return a preset of the edits that stand now.

    Args:
        name: for people.
        view: the steering state; edits on their way out are left out.
        bundles: site -> content id of the bundles that serve; the sites of the edits are kept.
    """
    edits = tuple(each.edit for each in view.edits if each.phase is not Phase.RELEASING)
    sites = dict.fromkeys(edit.site for edit in edits)
    return Preset(name, edits, {site: bundles[site] for site in sites if site in bundles})


def entries_of(one: Condition | Control) -> dict[str, object]:
    """Return the keys of a condition or a controller as files and the command line say them; the
    usual left out."""
    found = {key_of(each): getattr(one, each.name) for each in fields(one)}
    usual = {key_of(each): each.default for each in fields(one)}
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in found.items()
        if value != usual[key]
    }


def line_of(one: Condition | Control | None) -> str:
    """Return one in a line, as it is read back; empty for none."""
    if one is None:
        return ""
    said = ", ".join(f"{key}: {_short(value)}" for key, value in entries_of(one).items())
    return f"{{{said}}}"


def _short(value: object) -> object:
    """Return 0.4 for the 0.4000000059604645 that the wire's float32 makes of it."""
    if isinstance(value, list):
        return [_short(each) for each in value]
    if isinstance(value, float) and float(np.float32(value)) == value:
        return float(str(np.float32(value)))
    return value


def parse_condition(text: str) -> Condition:
    """Return the condition in a line of YAML, e.g. "{site: backbone.1, feature: 93, above: 0.5}".

    Raises:
        ConfigurationError: naming the key at fault.
    """
    return read_settings(Condition, parse_yaml(text), "the condition")


def parse_control(text: str) -> Control:
    """Return the controller in a line of YAML, e.g.
    "{reading: height, at: 0.25, kp: 4, ki: 8, bounds: [0, 1]}".

    Raises:
        ConfigurationError: naming the key at fault.
    """
    return read_settings(Control, parse_yaml(text), "the controller")


def format_preset(
    name: str, edits: Sequence[Edit], bundles: Mapping[str, str] | None = None
) -> str:
    """Return YAML text that `parse_preset` reads back into the same edits and bundles."""
    entries = [
        {
            "site": edit.site,
            "feature": edit.feature,
            "mode": edit.mode.name.lower(),
            "value": edit.value,
            "unit": edit.unit.name.lower(),
            "token_groups": list(edit.token_groups),
            "denoising_steps": list(edit.denoising_steps),
            "ramp": edit.ramp,
            "duration": edit.duration,
            "window": list(edit.window),
            "hold": edit.hold,
        }
        | ({} if edit.when is None else {"when": entries_of(edit.when)})
        | ({} if edit.control is None else {"control": entries_of(edit.control)})
        for edit in edits
    ]
    said = {"bundles": dict(bundles)} if bundles else {}
    content = {"format": FORMAT, "name": name, **said, "edits": entries}
    return yaml.safe_dump(content, sort_keys=False)
