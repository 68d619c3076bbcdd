"""One run after another on a policy that was compiled once, with the taps of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from vla_sae_ros.core.readout import SiteReadout
from vla_sae_ros.core.steering import Snapshot
from vla_sae_ros.policy.compiled.engine import CompiledEngine
from vla_sae_ros.policy.inference import NO_STEERING, Inference
from vla_sae_ros.policy.taps.injection import Injection
from vla_sae_ros.sae import SaeBundle


class CompiledRun:
    """See `setup.HookedPolicy`: what one run sees of the policy.

    Taps of other SAEs are in the graph and do nothing, to the bit; they are not read out.

    Args:
        engine: whose taps are of all SAEs of the study; one run at a time uses it.
        bundles: of this run; a control's push along other rows than the SAE's own.
    """

    def __init__(self, engine: CompiledEngine, bundles: Sequence[SaeBundle]) -> None:
        self._engine = engine
        self._read = {bundle.card.site for bundle in bundles}
        engine.push_along(bundles)

    def infer(
        self,
        frame: Mapping[str, np.ndarray],
        instruction: str,
        noise_seed: tuple[int, int],
        steering: Snapshot = NO_STEERING,
    ) -> Inference:
        inference = self._engine.infer(frame, instruction, noise_seed, steering)

        def read_out() -> tuple[SiteReadout, ...]:
            return tuple(one for one in inference.sites if one.site in self._read)

        return replace(inference, read_out=read_out)

    def attach_injection(self, site: str, groups: Sequence[str] = ()) -> Injection:
        return self._engine.attach_injection(site, groups)

    def close(self) -> None:
        """Leave the graph to the next run."""
