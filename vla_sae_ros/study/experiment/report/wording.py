"""How the page says numbers, arms and verdicts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vla_sae_ros.study.experiment.measure.effects import Effect
from vla_sae_ros.study.experiment.measure.findings import EffectEstimate
from vla_sae_ros.study.experiment.records.table import Row

MINUS, DASH, TIMES = "\u2212", "\u2013", "\u00d7"

_SHOWN = {
    "m": ("mm", 1000.0, 1),
    "m/s": ("mm/s", 1000.0, 1),
    "1": ("%-points", 100.0, 0),
    "action units": ("action units", 1.0, 3),
}


@dataclass(frozen=True)
class Scale:
    """The unit in which an effect is shown, per its own unit, and decimals."""

    unit: str
    factor: float
    digits: int

    @classmethod
    def of(cls, effect: Effect) -> Scale:
        """Return millimetres for metres, percentage points for shares."""
        if effect.name == "steps":
            return cls("steps", 1.0, 1)
        return cls(*_SHOWN[effect.unit])

    def tick(self, value: float) -> str:
        """Return a round number of an axis."""
        return f"{value * self.factor + 0.0:.4g}".replace("-", MINUS)

    def say(self, value: float, plus: bool = True) -> str:
        """Return a value of the effect without its unit; an en dash where it is unknown."""
        if not math.isfinite(value):
            return DASH
        text = f"{abs(value) * self.factor:.{self.digits}f}"
        if not float(text):
            return "0"
        return (MINUS if value < 0 else "+" if plus else "") + text


def say_p(p: float) -> str:
    """Return p as a reader wants it."""
    if math.isnan(p):
        return "not tested"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def say_interval(estimate: EffectEstimate) -> str:
    """Return "+12.3 mm [+10.1, +14.4]"."""
    scale = Scale.of(estimate.effect)
    plus = estimate.effect.signed
    low, high = scale.say(estimate.low, plus), scale.say(estimate.high, plus)
    return f"{scale.say(estimate.mean, plus)} {scale.unit} [{low}, {high}]"


def say_strength(row: Row) -> str:
    """Return how strongly something was changed, e.g. "+0.5 ‖x‖"."""
    if row.mode == "project_out":
        return "removed"
    number = f"{row.strength:+g}" if row.mode == "add" else f"{row.strength:g}"
    unit = {
        "residual_norm": " ‖x‖",
        "observed_max": f" {TIMES} max",
        "factor": f" {TIMES}",
        "token_norm": " ‖x‖ per token",
    }[row.unit]
    return number.replace("-", MINUS) + unit


def say_window(row: Row) -> str:
    """Return when an edit acts, empty for the whole episode."""
    when = f"when {row.condition}" if row.condition else ""
    control = f"controlled by {row.control}" if row.control else ""
    return " ".join(filter(None, (_say_steps(row), when, control)))


def _say_steps(row: Row) -> str:
    if row.window_from <= 0 and row.window_to < 0 and row.window_event in ("", "start"):
        return ""
    event = "" if row.window_event == "start" else f" after {row.window_event}"
    if row.window_to < 0:
        return f"from step {row.window_from}{event}"
    return f"steps {row.window_from} to {row.window_to}{event}"


def say_dose(row: Row) -> str:
    """Return what was done, e.g. "add +0.5 ‖x‖, from step 10"."""
    if not row.mode:
        return ""
    how = "projected out" if row.mode == "project_out" else f"{row.mode} {say_strength(row)}"
    return ", ".join(filter(None, (how, say_window(row))))


def say_feature(row: Row) -> str:
    """Return "expert.1 : 80"."""
    return f"{row.site} : {'+'.join(map(str, row.features))}"


def say_arm(row: Row) -> str:
    """Return an arm's name for people."""
    plain = {
        "none": "plain",
        "zero": "hook at zero",
        "noise": "plain, other noise seed",
        "top_general": "top general features removed",
        "random_general": "random general features removed",
        "random_memorized": "random memorized features removed",
        "random_any": "random features of any class removed",
        "chosen": "chosen features removed",
    }
    if row.arm in plain:
        return plain[row.arm]
    if row.arm == "prompt":
        return f"instruction “{row.instruction}”"
    if row.arm == "injection":
        donor = row.direction.removeprefix("injection:")
        return ", ".join(filter(None, (f"{row.site} of {donor} injected", say_window(row))))
    who = {
        "feature": "feature",
        "random_alive": "random alive feature",
        "random_row": "random row",
        "gaussian": "Gaussian direction",
        "mean_difference": "mean difference",
    }[row.arm]
    what = say_feature(row) if row.features else f"{row.site}, {row.direction}"
    return f"{who} {what}, {say_dose(row)}"


OUTCOMES = {
    "causal": ("●", "causal", "an effect passes its test and lies beyond the random rows"),
    "within random": ("◐", "within random", "it acts, but no more than random decoder rows do"),
    "none shown": ("○", "no effect shown", "no effect passes its test"),
    "cannot tell": ("?", "cannot tell", "too few pairs, or no random row to compare with"),
}
NAME_OUTCOMES = {
    "as named": ("✓", "does what its name says"),
    "opposite": ("✗", "does the opposite of its name"),
    "not shown": ("○", "its name's effect is not shown"),
    "not measured": (DASH, "its name predicts nothing that is measured"),
    "no name": (DASH, "has no name"),
}
