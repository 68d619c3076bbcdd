"""The study file: what an experiment compares, where and how often. docs/experiments.md shows it.

name: lift
protocols: [P2]
features: [{site: expert.1, ids: [80]}]
changes: [{mode: add, unit: residual_norm, strengths: [0.25, 0.5]}]
places: [{suite: libero_object, tasks: "0,0:butter_1", rollouts: 10}]
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.settings import at_least, one_of, read_settings, refuse
from vla_sae_ros.core.yaml_document import read_yaml
from vla_sae_ros.sim.environment import LIBERO
from vla_sae_ros.study.experiment.design.study_parts import (
    WHOLE_EPISODE,
    Changes,
    Controls,
    Features,
    InjectionArms,
    Keep,
    Layers,
    MeanDifference,
    Necessity,
    Observations,
    TaskSet,
    Window,
)
from vla_sae_ros.study.experiment.records.table import ARMS, PROTOCOLS

CHOSEN_ARMS = tuple(arm for arm in ARMS if not arm.endswith(("_general", "_memorized")))


@dataclass(frozen=True)
class Study:
    """A whole study; the defaults are the demonstration policy's and the plainest design.

    env: "libero", or an environment of lerobot's as `--env` names it. contract: a file that says
    what its policies see and do; None: as the environment says.
    policy: a folder; None: the demonstration's. bundles: SAE folders; empty: every bundle beside
    the policy, in sae/. arms: of CHOSEN_ARMS, for P1 and P2; "none" is always run. prompt: the
    instruction of the arm "prompt". cap: largest ||dx|| / ||x|| per token. latency: inferences per
    arm in P5. execute_steps: actions executed per chunk; None: EXECUTE_STEPS, or the whole chunk
    where it is shorter. max_steps: None: the suite's limit.
    """

    name: str
    places: tuple[TaskSet, ...]
    env: str = LIBERO
    contract: Path | None = None
    policy: Path | None = None
    bundles: tuple[Path, ...] = ()
    protocols: tuple[str, ...] = ("P2",)
    features: tuple[Features, ...] = ()
    changes: tuple[Changes, ...] = ()
    windows: tuple[Window, ...] = (WHOLE_EPISODE,)
    arms: tuple[str, ...] = (
        "none",
        "zero",
        "feature",
        "random_row",
        "gaussian",
        "random_alive",
        "noise",
    )
    controls: Controls = field(default_factory=Controls)
    prompt: str = ""
    mean_difference: MeanDifference | None = None
    injection: tuple[InjectionArms, ...] = ()
    necessity: Necessity | None = None
    layers: Layers = field(default_factory=Layers)
    observations: Observations = field(default_factory=Observations)
    latency: int = 200
    cap: float = 1.5
    keep: Keep = field(default_factory=Keep)
    execute_steps: int | None = None
    max_steps: int | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.name):
            refuse("name", self.name, "letters, digits, _ . and -; it names a folder")
        for protocol in self.protocols:
            one_of("protocols", protocol, PROTOCOLS)
        for arm in self.arms:
            one_of("arms", arm, CHOSEN_ARMS)
        for name in ("protocols", "places", "windows", "arms"):
            at_least(f"{name}, how many", len(getattr(self, name)), 1)
        at_least("latency", self.latency, 10)
        if self.execute_steps is not None:
            at_least("execute_steps", self.execute_steps, 1)
        if self.max_steps is not None:
            at_least("max_steps", self.max_steps, 1)
        if not self.cap > 0 or math.isnan(self.cap):
            refuse("cap", self.cap, "above 0; .inf = none")
        self._check_together()

    def _check_together(self) -> None:
        steered = set(self.protocols) & {"P1", "P2", "P5"}
        if steered and "feature" in self.arms and not (self.features and self.changes):
            refuse(
                "features and changes",
                "one of them missing",
                f"both, for {', '.join(sorted(steered))}",
            )
        if self.env != LIBERO:
            self._check_foreign()
        for name in ("when", "control"):
            used = any(getattr(window, name) is not None for window in self.windows)
            if used and "P4" in self.protocols:
                what = f"windows.{name} with P4"
                refuse(what, "P4", "protocols without it", "Make two studies of it.")
            if name == "control" and used and self.injection:
                refuse("windows.control with injection", "both", "one of them")
        if ("prompt" in self.arms) != bool(self.prompt):
            refuse("prompt", self.prompt, "an instruction with the arm prompt, and only with it")
        if ("mean_difference" in self.arms) != (self.mean_difference is not None):
            refuse(
                "mean_difference",
                self.mean_difference,
                "given with the arm mean_difference, and only with it",
            )
        if ("injection" in self.arms) != bool(self.injection):
            refuse("injection", self.injection, "given with the arm injection, and only with it")
        if self.injection and "P2" not in self.protocols:
            refuse("protocols with injection", self.protocols, "P2 among them: an episode")
        if ("P3" in self.protocols) != (self.necessity is not None):
            refuse("necessity", self.necessity, "given with the protocol P3, and only with it")

    def _check_foreign(self) -> None:
        """Refuse what only LIBERO tells or has."""
        for window in self.windows:
            if window.after != "start":
                refuse(f"windows.after with env {self.env}", window.after, "start")
        for place in self.places:
            if place.move or place.exchange:
                refuse(f"move and exchange with env {self.env}", place, "neither")


def load_study(path: Path) -> Study:
    """Read a study file.

    Raises:
        ConfigurationError: it cannot be read, or a key in it cannot be, named with what is allowed.
    """
    content = read_yaml(path)
    try:
        return read_settings(Study, content, "the study")
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
