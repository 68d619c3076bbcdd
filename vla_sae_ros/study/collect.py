"""Between a policy engine and the files: one inference's activations with what was going on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from vla_sae_ros.study.activation_writer import ActivationWriter


class InferenceCollector:
    """Holds what the taps hand out during an inference until its action is known.

    Give `sink` to the engine, call `commit` after each inference whose chunk was served, and
    `writer.end_episode` when the episode ends. What was held from an inference that failed, and so
    never was committed, is replaced by the next one's.
    """

    def __init__(self, writer: ActivationWriter) -> None:
        self.writer = writer
        self._held: dict[str, np.ndarray] = {}

    def sink(self, site: str, samples: Tensor) -> None:
        """Hold the samples (n, d) that the site's SAE reads; n = 1 when pooled."""
        self._held[site] = samples.detach().cpu().numpy().copy()

    def commit(
        self, context: Mapping[str, Any], residual_norms: Mapping[str, float] | None = None
    ) -> None:
        """Write what is held with the context of `StepRecord.from_context`, without residual_norm.

        residual_norms: per site mean ||x|| over its tokens. Raises CollectionError as the writer.
        """
        held, self._held = self._held, {}
        for site, rows in held.items():
            norm = (residual_norms or {}).get(site)
            self.writer(site, rows, {**context, "residual_norm": norm})
