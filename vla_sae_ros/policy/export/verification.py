"""Comparing an export with the policy it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot, SteeringSite
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.inference import Engine
from vla_sae_ros.policy.onnx.engine import OnnxEngine

TOLERANCE = 1e-4
"""Largest difference of an action, in standard deviations of the data set's actions."""
INSTRUCTIONS = ("pick up the butter and place it in the basket", "stop")
CAP = 1.5


@dataclass(frozen=True)
class Difference:
    """Largest differences of the actions, in units of the policy's normalised actions."""

    plain: float
    edited: float

    @property
    def is_fine(self) -> bool:
        return max(self.plain, self.edited) <= TOLERANCE


def compare(engine: PolicyEngine, folder: Path) -> Difference:
    """Infer with both, from random observations, plainly and with an edit on every site."""
    exported = OnnxEngine(folder)
    random = np.random.default_rng(0)
    edits = Snapshot(1, {site.name: _edits(site) for site in engine.steering_sites()}, CAP)
    unit = exported.description.action_rule.unit
    largest = {False: 0.0, True: 0.0}
    for step, instruction in enumerate(INSTRUCTIONS):
        frame = _frame(exported, random)
        for is_edited, snapshot in ((False, Snapshot()), (True, edits)):
            actions = [
                _actions(one, frame, instruction, step, snapshot) for one in (engine, exported)
            ]
            difference = float(np.abs((actions[0] - actions[1]) / unit).max())
            largest[is_edited] = max(largest[is_edited], difference)
    return Difference(largest[False], largest[True])


def _actions(
    engine: Engine, frame: dict[str, np.ndarray], instruction: str, step: int, snapshot: Snapshot
) -> np.ndarray:
    return engine.infer(frame, instruction, (0, step), snapshot).actions


def _edits(site: SteeringSite) -> tuple[AppliedEdit, ...]:
    """Clamp the feature that fires most to its maximum and project another one out."""
    if not site.can_steer:
        return ()
    strongest = np.argsort(site.observed_max)[::-1]
    value = float(site.observed_max[strongest[0]]) or site.residual_norm_activation
    return (
        AppliedEdit(int(strongest[0]), Mode.CLAMP, value, 1.0),
        AppliedEdit(int(strongest[-1]), Mode.PROJECT_OUT, 0.0, 1.0),
    )


def _frame(engine: OnnxEngine, random: np.random.Generator) -> dict[str, np.ndarray]:
    description = engine.description
    frame = {
        camera: random.integers(0, 256, (256, 256, 3), dtype=np.uint8)
        for camera in description.cameras
    }
    normal = random.normal(size=description.state_size).astype(np.float32)
    frame[description.state] = description.state_rule.restore(normal)
    return frame
