"""The setup of real studies: a lerobot policy in LIBERO, or in another environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from vla_sae_ros.core.contract import Contract
from vla_sae_ros.core.picture_record import Quality
from vla_sae_ros.policy.batch_engine import BatchEngine
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.compiled.compilable import require_compilable
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.policy.load_options import DEFAULT_OPTIONS, LoadOptions
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sim.benchmark import benchmark_named
from vla_sae_ros.sim.environment import LIBERO
from vla_sae_ros.study.experiment.run.setup import HookedPolicy, Scene

if TYPE_CHECKING:
    from vla_sae_ros.policy.compiled.engine import CompiledEngine


@dataclass(frozen=True)
class SimulatedSetupSpec:
    """A policy folder, SAE bundles and an environment; every machine needs them at these paths."""

    policy: Path
    bundles: tuple[Path, ...]
    vectors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    device: str = "cpu"
    render_quality: Quality = "full"
    env: str = LIBERO
    suite: str = ""
    contract: str = ""
    """See `sim.benchmark.benchmark_named`; the suite of the environment that is made first."""
    names: tuple[tuple[str, str], ...] = ()
    """What the policy calls an observation, as in `--map`."""
    compiled: bool = False
    """The policy is compiled, with a tap for every SAE, when the setup is opened."""
    options: LoadOptions = DEFAULT_OPTIONS

    def open(self, tell: Callable[[str], None] = lambda _text: None) -> SimulatedSetup:
        """Load the policy, on one thread: there is a process per core.

        tell: is told how far compiling is.
        """
        torch.set_num_threads(1)
        return SimulatedSetup(self, tell)


class SimulatedSetup:
    """See `Setup`."""

    def __init__(
        self, spec: SimulatedSetupSpec, tell: Callable[[str], None] = lambda _text: None
    ) -> None:
        self._loaded: LoadedPolicy = load_policy(spec.policy, spec.device, spec.options)
        bundles = [SaeBundle.load(folder, spec.device) for folder in spec.bundles]
        self._names = dict(spec.names)
        engine = PolicyEngine(self._loaded, bundles, self._names)  # refuses what does not fit
        self.sites: Mapping[str, Site] = engine.adapter.sites
        engine.close()
        self.bundles: Mapping[str, SaeBundle] = {one.card.site: one for one in bundles}
        self.policy = (self._loaded.policy_id, self._loaded.name)
        self.unnorm_key, self.chunk_length = self._loaded.unnorm_key, self._loaded.chunk_length
        self.vectors = {name: np.array(vector) for name, vector in spec.vectors.items()}
        self._spec = spec
        self._scene: Scene | None = None
        self._compiled = self._compile(bundles, tell) if spec.compiled else None

    def scene(self) -> Scene:
        if self._scene is None:
            spec = self._spec
            benchmark = benchmark_named(spec.env, spec.contract, spec.render_quality)
            scene = benchmark.environment(spec.suite)
            assert isinstance(scene, Scene)
            self._scene = scene
        return self._scene

    def hook(self, bundles: Sequence[SaeBundle]) -> HookedPolicy:
        if self._compiled is not None:
            from vla_sae_ros.study.experiment.run.compiled_run import CompiledRun

            return CompiledRun(self._compiled, bundles)
        return PolicyEngine(self._loaded, bundles, self._names)

    def check(self, contract: Contract, compiled: bool = False) -> None:
        """Raise ConfigurationError where an environment does not show what the policy reads.

        compiled: and where policies of its type cannot be compiled.
        """
        if compiled:
            require_compilable(self._loaded)
        engine = PolicyEngine(self._loaded)
        engine.observe(contract.offered, self._names)
        engine.close()

    def _compile(self, bundles: Sequence[SaeBundle], tell: Callable[[str], None]) -> CompiledEngine:
        require_compilable(self._loaded)
        from vla_sae_ros.policy.compiled.engine import CompiledEngine  # it imports lerobot

        spec = self._spec
        engine = CompiledEngine(self._loaded, bundles, self._names, tell)
        contract = benchmark_named(spec.env, spec.contract, spec.render_quality).contract(
            spec.suite
        )
        engine.observe(contract.offered, self._names)
        engine.warm_up()
        return engine

    def row_engine(self) -> BatchEngine:
        """Return the policy as one that infers for many rows at once."""
        return BatchEngine(self._loaded, self._names)

    def close(self) -> None:
        if self._compiled is not None:
            self._compiled.close()
        if self._scene is not None:
            self._scene.close()
