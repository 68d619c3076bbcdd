"""Everything that decides a run, and the hash that names it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from vla_sae_ros.core.picture_record import Quality
from vla_sae_ros.study.experiment.design.study_parts import WHOLE_EPISODE, Window

_FORMAT = 1
"""Raise it when the same settings come to give other results."""
_LATER = {
    "render_quality": "full",
    "policy_batch": 1,
    "names": (),
    "injection": None,
    "compiled": False,
    "unnorm_key": "",
}
"""What runs were before these were settings: left out, so that ids stay what they were."""


@dataclass(frozen=True)
class Change:
    """What is done to the residual stream at one site.

    direction: "row:<feature>", "gaussian:<seed>:<number>", "mean_difference:<content id>".
    carrier: the feature whose activation sets the size; -1 where the strength alone does.
    unit: also "token_norm": a fraction of each token's own norm, at a site with or without an SAE.
    """

    site: str
    direction: str
    carrier: int
    mode: str
    unit: str
    strength: float


@dataclass(frozen=True)
class Pair:
    """Where an episode starts: the same in all arms.

    task: of the suite, "0" or "0:butter_1". moved_m and exchanged are of `sim.environment.Layout`.
    """

    suite: str
    task: str
    init_state: int
    seed: int
    moved_m: float = 0.0
    exchanged: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return what the table's column `pair` says."""
        layout = f" moved {self.moved_m:g}" if self.moved_m else ""
        layout += f" exchanged {','.join(self.exchanged)}" if self.exchanged else ""
        return f"{self.suite} {self.task} init {self.init_state} seed {self.seed}{layout}"


@dataclass(frozen=True)
class InjectedStream:
    """What of another episode a rollout has in the place of its own: its stream at a site.

    tokens: the groups that are replaced; empty: all of the site. donor: the other episode.
    """

    site: str
    tokens: tuple[str, ...]
    donor: Pair

    @property
    def text(self) -> str:
        """Return what the table's column `direction` says."""
        tokens = f" {'+'.join(self.tokens)} tokens" if self.tokens else ""
        return f"injection:{self.donor.text}{tokens}"


@dataclass(frozen=True)
class RunSettings:
    """Everything that decides one run.

    kind: of table.KINDS, or "observations": a plain rollout whose observations are kept.
    changes: together in one run. taps: (site, content id) of the SAEs hooked on; empty: no hook.
    traced: (site, feature) whose activations are written down, of tapped sites.
    instruction: told to the policy. steps: control steps at most; how many observations in open
    loop; how many inferences in a latency run. every: control steps between kept observations.
    sources: run ids of the observations that open loop and latency look at, or of the donor's.
    render_quality: of the pictures. policy_batch: of how many simulations the policy infers for at
    once at most; a batch rounds otherwise than an inference alone. names: pairs of `--map`.
    injection: of a rollout. compiled: torch.compile made the policy's graph, which rounds
    otherwise. unnorm_key: data set whose statistics turn OpenVLA's tokens into actions.
    """

    kind: str
    policy_id: str
    pair: Pair | None
    instruction: str
    noise_seeds: tuple[int, ...]
    steps: int
    execute_steps: int
    cap: float
    changes: tuple[Change, ...] = ()
    taps: tuple[tuple[str, str], ...] = ()
    traced: tuple[tuple[str, int], ...] = ()
    window: Window = WHOLE_EPISODE
    every: int = 0
    sources: tuple[str, ...] = ()
    render_quality: Quality = "full"
    policy_batch: int = 1
    names: tuple[tuple[str, str], ...] = ()
    injection: InjectedStream | None = None
    compiled: bool = False
    unnorm_key: str = ""

    @property
    def needs_own_policy(self) -> bool:
        """It is not made in a batch: its answers are timed, or it looks into single inferences."""
        return self.kind == "latency" or self.injection is not None

    @property
    def run_id(self) -> str:
        """Return 16 hex digits of the SHA-256 of the settings."""
        deciding = {
            name: value
            for name, value in vars(self).items()
            if name not in _LATER or value != _LATER[name]
        }
        text = json.dumps({"format": _FORMAT, **deciding}, default=_parts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _parts(value: Any) -> dict[str, Any]:
    """Return the fields of a part; a window without these two is what it always was."""
    found = dict(vars(value))
    if isinstance(value, Window):
        for name in ("when", "control"):
            if found[name] is None:
                del found[name]
    return found
