"""What one inference gives, and what an engine must offer to be served; no torch in here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from vla_sae_ros.core.catalogue import Catalogue
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.readout import SiteReadout
from vla_sae_ros.core.steering import Snapshot, SteeringSite

NO_STEERING = Snapshot()
WARM_UPS = 2


class NotCompiled(ConfigurationError):
    """The policy cannot be compiled; it can be served without."""


class Draw(Protocol):
    """Computes a heatmap of one inference."""

    def __call__(self, site: str, feature: int, height: int | None = None) -> np.ndarray:
        """Return an (H, W, 3) uint8 RGB picture; `height` [px] None means that of the cameras."""


@dataclass(frozen=True)
class Continued:
    """What real-time chunking continues: the rest of the chunk before.

    Attributes:
        rest: (n, A) float32, the actions of that chunk that were not executed yet when the
            observation was made, normalised, as the policy put them out.
        delay: [ticks] of the rest that will be executed before the new chunk is there.
        chunk_id: of the chunk that the rest is from.
    """

    rest: np.ndarray
    delay: int
    chunk_id: int


@dataclass(frozen=True)
class Inference:
    """What one inference gave.

    Attributes:
        actions: (H, A) float32, in the units of the policy's data set.
        read_out: computes `sites`.
        draw: computes the heatmap, an (H, W, 3) uint8 RGB picture, of (site, feature) that
            `Engine.why_no_heatmap` says nothing against.
        revision: of the steering state that was applied.
        bypassed: the steering was bypassed.
        milliseconds: [ms] wall time until the actions were there.
        normalised: (H, A) float32, the actions as the policy put them out; None where the engine
            does no real-time chunking.
        continued: what it was pulled towards; None: computed from scratch.
    """

    actions: np.ndarray
    read_out: Callable[[], tuple[SiteReadout, ...]]
    revision: int
    bypassed: bool
    milliseconds: float
    draw: Draw | None = None
    normalised: np.ndarray | None = None
    continued: Continued | None = None

    @cached_property
    def sites(self) -> tuple[SiteReadout, ...]:
        """One read-out per tapped site, in the order of the bundles.

        Computed when first looked at: hand over the actions before, a robot waits for them.
        """
        return self.read_out()


class Card(Protocol):
    """What the graph tells about a bundle."""

    @property
    def site(self) -> str: ...

    @property
    def mean_residual_norm(self) -> float: ...

    @property
    def kind(self) -> str: ...


class Bundle(Protocol):
    """An SAE that an engine has on a site."""

    @property
    def bundle_id(self) -> str: ...

    @property
    def card(self) -> Card: ...

    @property
    def catalogue(self) -> Catalogue: ...


class Engine(Protocol):
    """A policy with its taps, ready to infer; used by one thread."""

    @property
    def policy_name(self) -> str:
        """The policy's type and folder, for people."""

    @property
    def policy_id(self) -> str:
        """Content id of the policy's weights."""

    @property
    def input_features(self) -> frozenset[str]:
        """What every frame must hold: the policy's own names, or those of `observe`."""

    def observe(
        self, offered: Mapping[str, tuple[int, ...] | None], given: Mapping[str, str] = {}
    ) -> None:
        """Take frames that bear these names from now on; see `match_features`."""

    @property
    def bundles(self) -> Sequence[Bundle]:
        """The SAEs, in the order of their sites' read-outs."""

    def steering_sites(self) -> list[SteeringSite]:
        """Return what the steering needs to know about each tapped site."""

    def why_no_heatmap(self, site: str, feature: int) -> str:
        """Return why this feature cannot be drawn over the pictures, or an empty text."""

    def warm_up(self) -> tuple[int, int]:
        """Infer on blank pictures, so that the first real inference is not the slow one.

        Returns:
            (H, A), the shape of a chunk.
        """

    def infer(
        self,
        frame: Mapping[str, np.ndarray],
        instruction: str,
        noise_seed: tuple[int, int],
        steering: Snapshot = NO_STEERING,
    ) -> Inference:
        """Compute one action chunk; see `policy.engine.PolicyEngine.infer`."""

    def close(self) -> None:
        """Let go of the policy."""


class ContinuingEngine(Engine, Protocol):
    """An engine that can do real-time chunking."""

    def enable_rtc(self) -> str:
        """Let inferences continue a chunk from now on; see `PolicyEngine.enable_rtc`."""

    def infer(
        self,
        frame: Mapping[str, np.ndarray],
        instruction: str,
        noise_seed: tuple[int, int],
        steering: Snapshot = NO_STEERING,
        previous: Continued | None = None,
    ) -> Inference:
        """Compute one action chunk; see `policy.engine.PolicyEngine.infer`."""


def noise_state(seed: tuple[int, int]) -> int:
    """Return the 63-bit state that seeds the noise of (episode seed, control step)."""
    # SeedSequence mixes the pair; a sum would let different pairs share their noise.
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]) >> 1
