"""A policy that has another episode's residual stream at a site in the place of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from vla_sae_ros.core.readout import injected_readout
from vla_sae_ros.policy.inference import Inference
from vla_sae_ros.study.experiment.design.settings import InjectedStream
from vla_sae_ros.study.experiment.run.questions import Look
from vla_sae_ros.study.experiment.run.setup import OwnPolicy


class Injected:
    """See `setup.RunPolicy`.

    Inference number n of the rollout has the stream of the donor's inference number n, which is
    made again for it, from the donor's own noise. After the donor's last one it has its own.

    Args:
        policy: with what else the run hooks onto it; closed with this.
        stream: what is replaced.
        donor: what the donor's inferences saw, in their order.
    """

    def __init__(self, policy: OwnPolicy, stream: InjectedStream, donor: Sequence[Look]) -> None:
        self._policy, self._stream, self._donor = policy, stream, donor
        self._injection = policy.policy.attach_injection(stream.site, stream.tokens)
        self._number = 0

    def infer(
        self,
        frame: Mapping[str, np.ndarray],
        instruction: str,
        noise_seed: tuple[int, int],
        share: float,
    ) -> Inference:
        number, self._number = self._number, self._number + 1
        if not share or number >= len(self._donor):
            return self._policy.infer(frame, instruction, noise_seed, share)
        look = self._donor[number]
        seed = self._stream.donor.seed, look.step
        self._policy.infer(look.frame, look.instruction, seed, 0.0)
        self._injection.give(self._injection.taken())
        try:
            inference = self._policy.infer(frame, instruction, noise_seed, share)
        finally:
            self._injection.give(None)
        ratio = self._injection.ratio  # of this inference: the read-out may come later
        told = injected_readout(self._stream.site, ratio)
        return replace(inference, read_out=lambda: (*inference.sites, told))

    def close(self) -> None:
        self._policy.close()
