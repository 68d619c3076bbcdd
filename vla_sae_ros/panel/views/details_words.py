"""What is known about one feature, in words. Pure functions."""

from __future__ import annotations

import math

from vla_sae_ros.panel.state.values import CatalogueView

UNKNOWN = "unknown"
DIRECTION = "direction: a signed projection, in its own spread"

METRICS = {
    "Class": "general: fires across episodes; memorized: in few of them; dead: never",
    "General with probability": "Of the generality classifier",
    "Coverage": "Share of episodes in which it fires",
    "Density": "Share of inferences in which it fires",
    "Onsets per episode": "How often it begins to fire in an episode, on average",
    "Run length": "Mean length of a run of firing, as a share of the episode",
    "Observed maximum": "Largest activation in the SAE's data, in the SAE's units",
}
"""Name and meaning of every metric."""


def metrics(catalogue: CatalogueView, row: int) -> dict[str, str]:
    """Return the value of every metric of a row."""
    is_direction = catalogue.site_of(row).kind == "directions"
    return {
        "Class": DIRECTION if is_direction else catalogue.classes[row] or "not classified",
        "General with probability": share(float(catalogue.general_probability[row])),
        "Coverage": share(float(catalogue.coverage[row])),
        "Density": share(float(catalogue.density[row])),
        "Onsets per episode": number(float(catalogue.onset_count[row])),
        "Run length": share(float(catalogue.relative_run_length[row])),
        "Observed maximum": number(float(catalogue.observed_max[row])),
    }


def share(value: float) -> str:
    """Return a share of 0 to 1 in percent."""
    return UNKNOWN if math.isnan(value) else f"{100 * value:.1f} %"


def number(value: float) -> str:
    """Return a number with three digits."""
    return UNKNOWN if math.isnan(value) else f"{value:.3g}"


def test_words(tests: str) -> str:
    """Return what steering studies found, or that none has tested the feature."""
    return f"Tested by steering:\n{tests}" if tests else "Not tested by steering yet."


def source_words(source: str, tested: str) -> str:
    """Return who named the feature; `tested`: the name that a steering study confirmed, if any."""
    if tested and source in ("", "evidence"):
        label = "the label is from evidence" if source else "no label"
        return f"a steering study confirmed {tested!r}; {label}"
    return {
        "person": "named by a person",
        "evidence": "named by a tool from evidence",
        "": "not named yet",
    }.get(source, f"named by {source}")
