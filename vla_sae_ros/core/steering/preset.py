"""Presets: named sets of edits as YAML text, checked by key before they reach the steering.

format: 1
name: lift higher
bundles: {backbone.1: 0123456789abcdef}   # may be left out: then it is not checked
edits:
  - {site: backbone.1, feature: 12, mode: clamp, value: 4.0, unit: observed_max, ramp: 0.5}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from vla_sae_ros.core.errors import SteeringRefused, complaint
from vla_sae_ros.core.steering.edit import Edit, Mode, Unit
from vla_sae_ros.core.steering.slot import Phase
from vla_sae_ros.core.steering.snapshot import StateView

FORMAT = 1
_EDIT_KEYS = {
    "site",
    "feature",
    "mode",
    "value",
    "unit",
    "token_groups",
    "denoising_steps",
    "ramp",
    "duration",
    "window",
    "hold",
}


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
                f"{', '.join(differing)}. Serve those, or make it anew; without `bundles` it is "
                "not checked."
            )


def parse_preset(text: str) -> Preset:
    """Return the preset in this YAML text.

    Raises:
        SteeringRefused: not YAML, an unknown or missing key or a wrong type, named by its place.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SteeringRefused(f"the preset is not YAML: {error}") from error
    if not isinstance(data, dict) or set(data) - {"bundles"} != {"format", "name", "edits"}:
        raise SteeringRefused(
            complaint("keys of a preset", data, "format, name, edits and perhaps bundles")
        )
    if data["format"] != FORMAT:
        raise SteeringRefused(complaint("preset format", data["format"], FORMAT))
    if not isinstance(data["edits"], list):
        raise SteeringRefused(complaint("edits of the preset", data["edits"], "a list"))
    edits = tuple(_parse_edit(entry, f"edits[{i}]") for i, entry in enumerate(data["edits"]))
    return Preset(str(data["name"]), edits, _parse_bundles(data.get("bundles", {})))


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
        for edit in edits
    ]
    said = {"bundles": dict(bundles)} if bundles else {}
    content = {"format": FORMAT, "name": name, **said, "edits": entries}
    return yaml.safe_dump(content, sort_keys=False)


def _parse_bundles(entry: Any) -> dict[str, str]:
    texts = isinstance(entry, dict) and all(
        isinstance(text, str) and text for pair in entry.items() for text in pair
    )
    if not texts:
        raise SteeringRefused(
            complaint(
                "bundles of the preset",
                entry,
                "site: content id, both text",
                "Put an id that looks like a number in quotes.",
            )
        )
    return dict(entry)


def _parse_edit(entry: Any, where: str) -> Edit:
    if not isinstance(entry, dict) or not {"feature", "mode"} <= set(entry) <= _EDIT_KEYS:
        raise SteeringRefused(
            complaint(f"keys of {where}", entry, f"feature, mode and of {sorted(_EDIT_KEYS)}")
        )
    try:
        return Edit(
            feature=_integer(entry["feature"]),
            mode=Mode[str(entry["mode"]).upper()],
            value=float(entry.get("value", 0.0)),
            site=str(entry.get("site", "")),
            unit=Unit[str(entry.get("unit", "natural")).upper()],
            token_groups=tuple(str(group) for group in entry.get("token_groups", ())),
            denoising_steps=tuple(_integer(step) for step in entry.get("denoising_steps", ())),
            ramp=float(entry.get("ramp", 0.0)),
            duration=float(entry.get("duration", 0.0)),
            window=_pair(entry.get("window", (0.0, 0.0))),
            hold=bool(entry.get("hold", False)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SteeringRefused(
            f"{where} of the preset cannot be read: {error!r} in {entry!r}."
        ) from error


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _pair(value: Any) -> tuple[float, float]:
    start, end = value
    return float(start), float(end)
