"""How an action chunk changes with the residual stream: one backward pass per observation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.taps.tap import Tap
from vla_sae_ros.policy.taps.tokens import Tokens
from vla_sae_ros.sae import SaeBundle

Effect = Callable[[Tensor], Tensor]
"""Gets a chunk's actions (H, A) in the units of the data set; returns one number (0-d)."""

_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ChunkEffect:
    """An effect on one observation's chunk and how it changes.

    value: of the plain chunk. along: bundle's site -> (d,) float64; the effect changes by
    `along @ W_dec[j]` per unit of feature j's code, added to every real token in every run.
    """

    value: float
    along: Mapping[str, np.ndarray]


class ChunkGradient:
    """Differentiates a policy's chunk; the engine must have no taps of its own.

    Raises:
        ConfigurationError: a bundle that does not fit the policy.
    """

    def __init__(self, engine: PolicyEngine, bundles: Sequence[SaeBundle]) -> None:
        self._engine = engine
        self._taps = [engine.make_tap(bundle) for bundle in bundles]

    def of(
        self,
        frame: Mapping[str, np.ndarray],
        instruction: str,
        noise_seed: tuple[int, int],
        effect: Effect,
    ) -> ChunkEffect:
        """Return the effect on one observation's chunk, and its gradient at every bundle's site.

        Raises:
            ObservationError: the frame does not hold what the policy reads.
            ConfigurationError: a policy whose chunk does not follow from its stream by arithmetic
                that can be differentiated.
        """
        engine, adapter = self._engine, self._engine.adapter
        runs: dict[str, list[tuple[Tensor, Tensor]]] = {tap.site.name: [] for tap in self._taps}
        handles = [adapter.attach(site, partial(_leaf, runs[site])) for site in runs]
        try:
            with torch.inference_mode(False), torch.enable_grad():
                batch = engine.inputs(frame, instruction)
                with differentiable(engine.loaded.policy):
                    noise = engine.noise(noise_seed).to(engine.device)
                    chunk = adapter.predict(dict(batch), noise)
                value = effect(self._physical(chunk))
                leaves = [leaf for of_site in runs.values() for leaf, _ in of_site]
                if not value.requires_grad:
                    raise ConfigurationError(
                        complaint(
                            "policy to be differentiated",
                            engine.policy_name,
                            "one whose chunk is computed from the sites' residual stream, such as "
                            "smolvla, pi0 and pi05",
                        )
                    )
                found = torch.autograd.grad(value, leaves, allow_unused=True)
        finally:
            for handle in handles:
                handle.remove()
        gradient = {
            id(leaf): torch.zeros_like(leaf) if grad is None else grad
            for leaf, grad in zip(leaves, found, strict=True)
        }
        with torch.no_grad():
            along = {
                tap.name: self._along(tap, batch, runs[tap.site.name], gradient)
                for tap in self._taps
            }
        return ChunkEffect(float(value.detach()), along)

    def _along(
        self,
        tap: Tap,
        batch: Mapping[str, Tensor],
        runs: Sequence[tuple[Tensor, Tensor]],
        gradient: Mapping[int, Tensor],
    ) -> np.ndarray:
        tokens = Tokens(partial(self._engine.adapter.token_masks, tap.site.name, batch))
        scope = tokens.mask(tap.site.token_groups)[..., None]
        total = torch.zeros(tap.site.width, dtype=torch.float64)
        for leaf, stream in runs:
            scale = tap.scale(stream, tokens)
            total += (gradient[id(leaf)] * scope * scale).sum((0, 1)).double().cpu()
        return total.numpy()

    def _physical(self, chunk: Tensor) -> Tensor:
        """Return the actions (H, A) of a normalised chunk (1, H, A): the postprocessor is affine.

        Raises:
            ConfigurationError: it is not.
        """
        plain = chunk.detach()
        base, steps = (self._engine.actions(one) for one in (0 * plain, 0 * plain + 1))
        offset, scale = (torch.from_numpy(one).to(chunk) for one in (base, steps - base))
        actions = offset + scale * chunk[0]
        wanted = torch.from_numpy(self._engine.actions(plain)).to(chunk)
        if not torch.allclose(actions.detach(), wanted, rtol=_TOLERANCE, atol=_TOLERANCE):
            raise ConfigurationError(
                f"The postprocessor of {self._engine.policy_name} does more than scale and shift "
                "actions, so an effect on them cannot be differentiated."
            )
        return actions


@contextmanager
def differentiable(policy: Any) -> Iterator[None]:
    """Let a lerobot policy infer with gradients of its inputs, not of its weights."""
    weights = [weight for weight in policy.parameters() if weight.requires_grad]
    places = ((policy, "predict_action_chunk"), (getattr(policy, "model", None), "sample_actions"))
    bare = [
        (owner, name, function)
        for owner, name in places
        if (function := _bare(owner, name)) is not None
    ]
    for weight in weights:
        weight.requires_grad_(False)
    for owner, name, function in bare:
        owner.__dict__[name] = MethodType(function, owner)  # as it is without `torch.no_grad`
    try:
        yield
    finally:
        for owner, name, _ in bare:
            del owner.__dict__[name]
        for weight in weights:
            weight.requires_grad_(True)


def _bare(owner: Any, name: str) -> Callable[..., Any] | None:
    """Return a method as it is without its decorator; None where it has none."""
    found: Callable[..., Any] | None = getattr(
        getattr(type(owner), name, None), "__wrapped__", None
    )
    return found


def _leaf(runs: list[tuple[Tensor, Tensor]], stream: Tensor) -> Tensor:
    """Add zeros to the stream (1, T, d), whose gradient will be the stream's."""
    leaf = torch.zeros_like(stream, requires_grad=True)
    runs.append((leaf, stream))
    return leaf
