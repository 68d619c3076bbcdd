"""An engine whose policy is compiled with torch.compile, its taps with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
import torch
from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK, OBS_LANGUAGE_TOKENS
from torch import Tensor
from torch._dynamo.utils import counters
from torch.nn.functional import pad

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.steering import Snapshot
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.compiled.compilable import UNCOMPILED, require_compilable
from vla_sae_ros.policy.compiled.graph_cache import CACHE_VARIABLE, compiling_into, graph_cache
from vla_sae_ros.policy.compiled.parts import CompiledParts, Progress
from vla_sae_ros.policy.compiled.static_probe import StaticProbe
from vla_sae_ros.policy.compiled.static_tap import StaticTap
from vla_sae_ros.policy.compiled.usual_warnings import without_usual_warnings
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.inference import NO_STEERING, Continued, Inference, NotCompiled
from vla_sae_ros.policy.taps.injection import Injection
from vla_sae_ros.policy.taps.probe import Probe
from vla_sae_ros.policy.taps.substitution import Substitution
from vla_sae_ros.sae import SaeBundle


class CompiledEngine(PolicyEngine):
    """A `PolicyEngine` whose first inference compiles, in minutes, and whose others are fast.

    Edits change nothing that is compiled. Instructions are padded to the longest that the policy
    takes, as lerobot's `pad_language_to: max_length` does, so that another one fits, too. Without
    edits its actions are those of the same engine without bundles, to the bit.

    Args:
        loaded, bundles, names: as for `PolicyEngine`.
        progress: told in words what is being compiled.

    Raises:
        NotCompiled: this family is not compiled; of `warm_up`: torch.compile could not.
    """

    def __init__(
        self,
        loaded: LoadedPolicy,
        bundles: Sequence[SaeBundle] = (),
        names: Mapping[str, str] = {},
        progress: Progress = lambda _text: None,
    ) -> None:
        require_compilable(loaded)
        os.environ[CACHE_VARIABLE] = str(graph_cache())
        super().__init__(loaded, bundles, names)
        sites = [tap.site.name for tap in self._taps]
        if len(set(sites)) < len(sites):
            super().close()
            raise NotCompiled(
                complaint(
                    "taps of a compiled policy",
                    sites,
                    "one per layer",
                    f"An SAE and directions are on one layer. {UNCOMPILED}",
                )
            )
        self._progress, self._graphs_made = progress, 0
        # On a GPU a chunk is thousands of small kernels: recorded once, they are launched at once.
        self.parts = CompiledParts(loaded.policy, progress, captured=self.device.type == "cuda")

    compiled = True

    @property
    def recompilations(self) -> int:
        """How many graphs were made since the warm-up: 0, or something is wrong."""
        return _graphs() - self._graphs_made

    def make_tap(self, bundle: SaeBundle) -> StaticTap:
        return self._tap(StaticTap, bundle)

    def make_probe(self, site: str, pooled: bool, sink: Callable[[Tensor, float], None]) -> Probe:
        if self.parts.compiled:
            raise ConfigurationError(
                f"The policy is compiled already, without a probe of {site}. Attach probes before "
                f"the first inference. {UNCOMPILED}"
            )
        place = self._site(site)
        return StaticProbe(place, pooled, place.token_groups, sink)

    def push_along(self, bundles: Sequence[SaeBundle]) -> None:
        """Change the stream along the rows of these bundles from now on, without compiling anew.

        bundles: of some of the taps; each differs from the tap's own in its decoder at most.
        """
        saes = {bundle.card.site: bundle.sae for bundle in bundles}
        for tap in self._taps:
            if tap.name in saes:
                assert isinstance(tap, StaticTap)
                tap.push_along(saes[tap.name].to(self.device))

    def close(self) -> None:
        super().close()
        self.parts.remove()

    def warm_up(self) -> tuple[int, int]:
        self._progress(
            f"compiling {self.policy_name} with its {len(self.bundles)} taps: this takes minutes "
            f"the first time, and less once it is cached in {os.environ[CACHE_VARIABLE]}"
        )
        try:
            with compiling_into(graph_cache(), self._progress), without_usual_warnings():
                shape = super().warm_up()
        except (torch._dynamo.exc.TorchDynamoException, RuntimeError) as error:
            raise NotCompiled(
                f"{self.policy_name} could not be compiled: {type(error).__name__}: "
                f"{_first_line(error)}. {UNCOMPILED}"
            ) from error
        self._graphs_made = _graphs()
        return shape

    @contextmanager
    def computing(self) -> Iterator[None]:
        yield  # the warm-up tells what cannot be compiled from what cannot be run

    def inputs(self, frame: Mapping[str, np.ndarray], instruction: str) -> dict[str, Any]:
        batch = super().inputs(frame, instruction)
        missing = self.loaded.config.tokenizer_max_length - batch[OBS_LANGUAGE_TOKENS].shape[1]
        for key in (OBS_LANGUAGE_TOKENS, OBS_LANGUAGE_ATTENTION_MASK):
            batch[key] = pad(batch[key], (0, max(0, missing)))
        return batch

    def infer_from(
        self,
        frame: Mapping[str, np.ndarray],
        instruction: str,
        noise: Tensor,
        steering: Snapshot = NO_STEERING,
        previous: Continued | None = None,
    ) -> Inference:
        if self.device.type == "cuda":
            torch.compiler.cudagraph_mark_step_begin()
        return super().infer_from(frame, instruction, noise, steering, previous)

    def attach_substitution(self, bundle: SaeBundle) -> Substitution:
        self._refuse_readers()

    def attach_injection(self, site: str, groups: Sequence[str] = ()) -> Injection:
        self._refuse_readers()

    def enable_rtc(self) -> NoReturn:
        raise ConfigurationError(
            "Real-time chunking is not compiled. Serve the policy with compile:=never, or with "
            "rtc:=false."
        )

    def _refuse_readers(self) -> NoReturn:
        raise ConfigurationError(
            f"A compiled policy has its SAEs' taps and probes, and nothing that replaces a stream. "
            f"{UNCOMPILED}"
        )


def _graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason")
