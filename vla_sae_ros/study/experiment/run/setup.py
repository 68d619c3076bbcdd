"""What runs are made on: a policy, its SAEs, and a world to act in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from vla_sae_ros.core.steering import Snapshot
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.policy.inference import Inference
from vla_sae_ros.sim.environment import Environment
from vla_sae_ros.study.experiment.design.settings import RunSettings
from vla_sae_ros.study.experiment.run.questions import Look

if TYPE_CHECKING:  # where only simulators run there is no PyTorch
    from vla_sae_ros.policy.taps.directions import Vector
    from vla_sae_ros.policy.taps.injection import Injection
    from vla_sae_ros.sae import SaeBundle


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

    def attach_injection(self, site: str, groups: Sequence[str] = ()) -> Injection:
        """Return what keeps a site's stream and can put another in its place."""
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


class RunPolicy(Protocol):
    """A policy with what a run hooks onto it."""

    def infer(
        self,
        frame: Mapping[str, np.ndarray],
        instruction: str,
        noise_seed: tuple[int, int],
        share: float,
    ) -> Inference:
        """Compute one action chunk. share: how far the run's changes act in it, 0 to 1."""
        ...

    def close(self) -> None:
        """Take the hooks off."""
        ...


class OwnPolicy(RunPolicy, Protocol):
    """A policy of this process with what a run hooks onto it."""

    @property
    def policy(self) -> HookedPolicy:
        """The policy itself."""
        ...


class RunSetup(Protocol):
    """What a run asks of its process: a world, and a policy that may be in another one."""

    def scene(self) -> Scene:
        """Return the environment, made when it is first asked for."""
        ...

    def hooked(self, settings: RunSettings, donor: Sequence[Look] = ()) -> RunPolicy:
        """Return the policy with what these settings hook onto it; donor: of an injection."""
        ...

    def close(self) -> None: ...


class SetupSpec(Protocol):
    """How to make the setup, in a few words that travel to another process or machine."""

    def open(self) -> Setup: ...
