"""A toy world with a planted truth: feature UP of the toy policy's SAE raises the hand.

The residual stream has WIDTH axes, and each of the first ones is one wish of the policy: up, and
towards the can in x and y. The SAE's first WIDTH features are these axes; its last ROWS features
point anywhere. Taps and edits are the real ones.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import yaml

from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.core.settings import read_settings
from vla_sae_ros.core.steering import Snapshot
from vla_sae_ros.core.yaml_document import parse_yaml
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.policy.inference import NO_STEERING, Inference
from vla_sae_ros.policy.taps.directions import Vector
from vla_sae_ros.policy.taps.injection import Injection, check_groups
from vla_sae_ros.policy.taps.tap import Tap
from vla_sae_ros.policy.taps.tokens import Tokens
from vla_sae_ros.sae import SaeBundle, TopKSAE
from vla_sae_ros.sae.bundle import BundleCard
from vla_sae_ros.sim.environment import Layout, Observation, StepResult, TaskSpec
from vla_sae_ros.study.experiment.design.plan import NamedTask, PlannedRun, StudyInputs
from vla_sae_ros.study.experiment.design.study_file import Study
from vla_sae_ros.study.experiment.records.outcome import Result
from vla_sae_ros.study.experiment.run.hooks import OwnSetup
from vla_sae_ros.study.experiment.run.worker import Worker
from vla_sae_ros.study.experiment.run.worker_pool import WorkerPool

UP, TO_X, TO_Y, SILENT = 0, 1, 2, 3
WIDTH, ROWS, TOKENS, CHUNK, STEPS = 64, 40, 3, 6, 25
SITE, LAST = "toy.0", "toy.1"
POLICY = ("70", "toy policy")
SITES = {
    SITE: Site(SITE, WIDTH, ("action",), 1),
    LAST: Site(LAST, WIDTH, ("action",), 1, "nothing reads it"),
}


class ToyScene:
    """A hand that goes where it is told; success: it holds the can."""

    cameras = ("agentview",)
    control_rate_hz = 20.0

    def reset(
        self, task: TaskSpec, init_state: int, seed: int, layout: Layout = Layout()
    ) -> Observation:
        drawn = np.random.default_rng([init_state, seed])
        self._can = np.array([*drawn.uniform(0.05, 0.15, 2), 0.0])
        self._can[:2] += drawn.uniform(-1, 1, 2) * layout.move_objects_m
        self._hand, self._closed = np.array([0.0, 0.0, 0.2]), False
        return self._observe()

    def step(self, action: np.ndarray) -> StepResult:
        self._hand = self._hand + 0.02 * action[:3]
        self._closed = bool(action[6] > 0)
        return StepResult(self._observe(), "can_1" in self.grasped_objects())

    def render(self, camera: str) -> np.ndarray:
        return np.full((16, 16, 3), int(self._hand[2] * 200) % 256, np.uint8)

    def object_positions(self) -> dict[str, np.ndarray]:
        return {"can_1": self._can}

    def grasped_objects(self) -> frozenset[str]:
        near = np.abs(self._hand[:2] - self._can[:2]).max() < 0.02
        return frozenset({"can_1"} if near and self._closed else ())

    def close(self) -> None:
        pass

    def _observe(self) -> Observation:
        opening = 0.01 if self._closed else 0.04
        grip = np.array([opening, -opening])
        # The way to the can, as a rotation vector: policies see the hand's.
        way = np.array([*(self._can[:2] - self._hand[:2]), 1e-9])
        angle = np.linalg.norm(way)
        turned = np.array([*(way / angle * np.sin(angle / 2)), np.cos(angle / 2)])
        return Observation(np.zeros(7), self._hand.copy(), turned, grip)


class ToyPolicy:
    """Reads where the can is (hidden in the state's rotation) and wishes itself there."""

    def __init__(self, bundles: Sequence[SaeBundle]) -> None:
        self._taps = [
            Tap(SITES[one.card.site], one.sae, one.card.pooling == "mean") for one in bundles
        ]
        self._injections: list[Injection] = []

    def attach_injection(self, site: str, groups: Sequence[str] = ()) -> Injection:
        injection = Injection(SITES[site], check_groups(SITES[site], groups))
        self._injections.append(injection)
        return injection

    def infer(
        self,
        frame: Mapping[str, np.ndarray],
        instruction: str,
        noise_seed: tuple[int, int],
        steering: Snapshot = NO_STEERING,
    ) -> Inference:
        state = frame["observation.state"].astype(np.float64)
        drawn = np.random.default_rng(noise_seed)
        x = torch.zeros(1, TOKENS, WIDTH)
        x[0, :, 10:] = torch.from_numpy(drawn.normal(size=(TOKENS, WIDTH - 10)) * 0.1)
        x[0, :, UP] = 0.1
        x[0, :, TO_X : TO_Y + 1] = torch.from_numpy(np.clip(state[3:5] * 10, -1, 1) * 0.5)
        if "left" in instruction:
            x[0, :, TO_X] = -0.5
        tokens = Tokens(lambda: {"action": torch.ones(1, TOKENS, dtype=torch.bool)})
        for injection in self._injections:
            injection.begin(tokens)
            instead = injection(x)
            x = x if instead is None else x + instead
        read = x
        for tap in self._taps:
            tap.begin(tokens, tuple(steering.edits.get(tap.site.name, ())), steering.cap)
            delta = tap(x)
            if delta is not None and tap.site.can_steer:
                read = x + delta
        wishes = read.mean(1)[0].numpy()
        action = np.zeros((CHUNK, 7), np.float32)
        action[:, :2], action[:, 2] = wishes[TO_X : TO_Y + 1], wishes[UP] - 0.1
        action[:, 6] = 1.0 if np.abs(state[3:5]).max() < 0.02 else -1.0
        readings = [tap.reading() for tap in self._taps]
        return Inference(action, lambda: tuple(one.readout() for one in readings), 0, False, 0.1)

    def close(self) -> None:
        self._taps, self._injections = [], []


def toy_bundle() -> SaeBundle:
    """Axis features, then random ones; half are general, and SILENT never fired."""
    drawn = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(ROWS, WIDTH, generator=drawn), dim=-1)
    rows = torch.cat([torch.eye(WIDTH), rows])
    size = len(rows)
    sae = TopKSAE(rows.T.clone(), torch.zeros(size), rows, torch.zeros(WIDTH), 16)
    card = BundleCard(*POLICY, SITE, WIDTH, size, 16, "mean", ("action",), "none", 1.0, 1.0)
    entries = [
        FeatureEntry(
            one,
            label="hand up" if one == UP else "",
            feature_class="general" if one % 2 == 0 else "memorized",
            observed_max=0.0 if one == SILENT else 0.5,
            general_probability=1.0 - one / size,
        )
        for one in range(size)
    ]
    return SaeBundle(sae, card, Catalogue(SITE, entries))


class ToySetup:
    """See `setup.Setup`."""

    sites: Mapping[str, Site] = SITES
    policy = POLICY

    def __init__(self, spec: ToySetupSpec) -> None:
        self._spec = spec
        self.bundles: Mapping[str, SaeBundle] = {SITE: toy_bundle()}
        self.vectors: Mapping[str, Vector] = {
            name: np.array(vector) for name, vector in spec.vectors.items()
        }

    def scene(self) -> ToyScene:
        return _DeadlyScene(self._spec.killed_by) if self._spec.killed_by else ToyScene()

    def hook(self, bundles: Sequence[SaeBundle]) -> ToyPolicy:
        return ToyPolicy(bundles)

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class ToySetupSpec:
    """See `setup.SetupSpec`. killed_by: a file; while it is there, init state 3 removes it and
    kills the process."""

    vectors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    killed_by: Path | None = None

    def open(self) -> ToySetup:
        return ToySetup(self)


class _DeadlyScene(ToyScene):
    def __init__(self, file: Path) -> None:
        self._file = file

    def reset(
        self, task: TaskSpec, init_state: int, seed: int, layout: Layout = Layout()
    ) -> Observation:
        if init_state == 3 and self._file.exists():
            self._file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().reset(task, init_state, seed, layout)


class InProcess(WorkerPool):
    """One worker in this process."""

    count = 1

    def __init__(self, spec: ToySetupSpec, folder: Path) -> None:
        self._worker = Worker(OwnSetup(spec.open()), folder)
        self._run: PlannedRun | None = None

    def give(self, worker: int, run: PlannedRun) -> None:
        self._run = run

    def wait(self) -> list[tuple[int, Result | str]]:
        assert self._run is not None
        run = self._run
        return [(0, self._worker.run(run.settings, run.task, run.filmed))]

    def close(self) -> None:
        self._worker.close()


TASK = NamedTask("0", TaskSpec("toy", 0, "can", "take the can", STEPS, Path("p"), Path("i")))


def toy_study(**keys: object) -> Study:
    """A study of the toy's feature UP, whose other keys are given."""
    given = {
        "name": "toy",
        "features": [{"site": SITE, "ids": [UP]}],
        "changes": [{"strengths": [0.5]}],
        "places": [{"suite": "toy", "init_states": "0-3", "rollouts": 2}],
        "controls": {"rows": 2, "gaussian": 2, "alive": 1},
    }
    return read_settings(Study, parse_yaml(yaml.safe_dump(given | keys)), "the study")


def toy_inputs(
    study: Study, init_states: Sequence[int] = range(4), mean_difference: str = ""
) -> StudyInputs:
    """What the toy's plans stand on."""
    found = {SITE: mean_difference} if mean_difference else {}
    return StudyInputs(
        POLICY[0],
        SITES,
        {SITE: toy_bundle()},
        [[TASK]] * len(study.places),
        [init_states] * len(study.places),
        found,
        donors=[[(TASK, one.init_state or 0) for one in each.donors] for each in study.injection],
    )
