"""What runs are made on: a policy, its SAEs, and a world to act in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from vla_sae_ros.core.steering import Snapshot
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.policy.inference import Inference
from vla_sae_ros.policy.taps.directions import Vector
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sim.environment import Environment


@runtime_checkable
class Scene(Environment, Protocol):
    """An environment that also tells what the gripper holds."""

    def grasped_objects(self) -> frozenset[str]:
        """Return the objects that touch both finger pads."""
        ...


class HookedPolicy(Protocol):
    """A policy with SAEs on some sites, or none: what `policy.engine.PolicyEngine` offers."""

    def infer(
        self,
        frame: Mapping[str, np.ndarray],
        instruction: str,
        noise_seed: tuple[int, int],
        steering: Snapshot = ...,
    ) -> Inference:
        """Compute one action chunk."""
        ...

    def close(self) -> None:
        """Take the hooks off."""
        ...


class Setup(Protocol):
    """A policy and a world that were made in the process that uses them."""

    @property
    def bundles(self) -> Mapping[str, SaeBundle]:
        """The SAEs by site."""
        ...

    @property
    def sites(self) -> Mapping[str, Site]: ...

    @property
    def policy(self) -> tuple[str, str]:
        """Content id and name."""
        ...

    @property
    def vectors(self) -> Mapping[str, Vector]:
        """Content id -> mean-difference direction (d,)."""
        ...

    def scene(self) -> Scene:
        """Return the environment, made when it is first asked for."""
        ...

    def hook(self, bundles: Sequence[SaeBundle]) -> HookedPolicy:
        """Return the policy with exactly these SAEs on it."""
        ...

    def close(self) -> None: ...


class SetupSpec(Protocol):
    """How to make the setup, in a few words that travel to another process or machine."""

    def open(self) -> Setup: ...
