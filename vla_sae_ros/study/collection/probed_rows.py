"""The policy's side of an episode that is collected side by side with others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from torch import Tensor

from vla_sae_ros.activations.source import PolicyQuery
from vla_sae_ros.policy.batch_engine import BatchEngine, Row
from vla_sae_ros.policy.inference import Inference
from vla_sae_ros.study.collection.answered_query import AnsweredQuery


class ProbedRows:
    """See `batches.jobs.Session`: a probe on each of the sites, on the episode's own rows."""

    def __init__(self, engine: BatchEngine, sites: Sequence[str], pooling: str) -> None:
        self._engine = engine
        self._read: dict[str, tuple[np.ndarray, float]] = {}
        self._probes = [
            engine.probe(site, pooling == "mean", partial(self._keep, site)) for site in sites
        ]

    def row(self, question: PolicyQuery) -> Row:
        """Return the frame with the noise of its seed and step, and the probes."""
        noise = self._engine.noise((question.seed, question.step))
        return Row(question.frame, question.instruction, noise, probes=self._probes)

    def answer(self, question: PolicyQuery, inference: Inference) -> AnsweredQuery:
        """Return the chunk and what the probes read."""
        read, self._read = self._read, {}
        return AnsweredQuery(inference.actions, read)

    def _keep(self, site: str, read: Tensor, norm: float) -> None:
        self._read[site] = (read.cpu().numpy(), norm)
