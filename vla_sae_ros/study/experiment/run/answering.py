"""The policy's side of runs that are made side by side."""

from __future__ import annotations

from dataclasses import dataclass

from vla_sae_ros.policy.batch_engine import BatchEngine, Row
from vla_sae_ros.policy.inference import Inference
from vla_sae_ros.study.experiment.design.settings import RunSettings
from vla_sae_ros.study.experiment.run.hooks import wanted
from vla_sae_ros.study.experiment.run.questions import Answered, Asked
from vla_sae_ros.study.experiment.run.simulated_setup import SimulatedSetup, SimulatedSetupSpec


@dataclass(frozen=True)
class AnsweringSetup:
    """See `batches.jobs.Answering`: a policy and the SAEs of a study."""

    setup: SimulatedSetup
    engine: BatchEngine


@dataclass(frozen=True)
class AnsweringSetupSpec:
    """See `batches.jobs.AnsweringSpec`."""

    spec: SimulatedSetupSpec

    def open(self) -> AnsweringSetup:
        """Load policy and SAEs."""
        setup = self.spec.open()
        return AnsweringSetup(setup, setup.row_engine())

    @property
    def gpus(self) -> float:
        """How many GPUs a policy has for itself."""
        return 1.0 if self.spec.device.startswith("cuda") else 0.0


class RunSession:
    """See `batches.jobs.Session`: the hooks of one run, on its own rows of the batches."""

    def __init__(self, answering: AnsweringSetup, settings: RunSettings) -> None:
        self._engine, self._wanted = answering.engine, wanted(answering.setup, settings)
        self._taps = self._engine.taps(self._wanted.bundles)

    def row(self, question: Asked) -> Row:
        """Return the frame with the run's taps, and its edits while they act."""
        return Row(
            question.frame,
            question.instruction,
            self._engine.noise(question.noise_seed),
            self._wanted.snapshot(question.share),
            self._taps,
        )

    def answer(self, question: Asked, inference: Inference) -> Answered:
        """Return the chunk and what the taps read."""
        return Answered(inference.actions, inference.sites, inference.milliseconds)
