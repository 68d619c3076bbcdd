"""Where episodes come from: LIBERO, or any environment of lerobot; what `--env` names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from vla_sae_ros.core.contract import Contract, load_contract
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.picture_record import Quality
from vla_sae_ros.resources import resource
from vla_sae_ros.sim.environment import LIBERO, Environment, TaskSpec
from vla_sae_ros.sim.splits import EVALUATION_STATES_TEXT, TRAINING_STATES_TEXT
from vla_sae_ros.sim.worker import RESET_LIMIT_S, STEP_LIMIT_S

DEFAULT_SUITE = "libero_object"
LIBERO_CONTRACT = resource("config", "contracts", "libero.yaml")


class Benchmark(Protocol):
    """Tasks, and the environment that they are done in."""

    @property
    def env(self) -> str:
        """What `--env` names it."""
        ...

    @property
    def init_states(self) -> str:
        """Initial states for evaluation, "40-49", where nobody names others."""
        ...

    @property
    def training_states(self) -> str:
        """Initial states for collecting."""
        ...

    def tasks(self, suite: str = "") -> Sequence[TaskSpec]:
        """Return a suite's tasks; "": of the benchmark's default suite.

        Raises ConfigurationError where there is no such suite, or something is not installed.
        """
        ...

    def find_task(self, suite: str, index: int) -> TaskSpec:
        """Return one task; raises ConfigurationError naming what there is."""
        ...

    def contract(self, suite: str = "") -> Contract:
        """Return what policies see and do, as topics; see core.contract."""
        ...

    def environment(
        self,
        suite: str = "",
        reset_limit_s: float = RESET_LIMIT_S,
        step_limit_s: float = STEP_LIMIT_S,
    ) -> Environment:
        """Return an environment for the suite's tasks; building it may take seconds."""
        ...


class LiberoBenchmark:
    """LIBERO and LIBERO-PRO, drawn at full quality or quick."""

    env = LIBERO
    init_states, training_states = EVALUATION_STATES_TEXT, TRAINING_STATES_TEXT

    def __init__(self, quality: Quality = "full") -> None:
        self._quality: Quality = quality

    def tasks(self, suite: str = "") -> Sequence[TaskSpec]:
        from vla_sae_ros.sim import suites  # seconds

        return suites.suite_tasks(suite or DEFAULT_SUITE)

    def find_task(self, suite: str, index: int) -> TaskSpec:
        from vla_sae_ros.sim import suites

        return suites.find_task(suite or DEFAULT_SUITE, index)

    def contract(self, suite: str = "") -> Contract:
        return load_contract(LIBERO_CONTRACT)

    def environment(
        self,
        suite: str = "",
        reset_limit_s: float = RESET_LIMIT_S,
        step_limit_s: float = STEP_LIMIT_S,
    ) -> Environment:
        from vla_sae_ros.sim.libero import LiberoEnvironment  # seconds, and a GL context

        return LiberoEnvironment(self._quality, reset_limit_s, step_limit_s)


def benchmark_named(env: str, contract: str | Path = "", quality: Quality = "full") -> Benchmark:
    """Return what `--env` names.

    Args:
        env: "libero"; or lerobot's name of an environment, with settings after a colon.
        contract: file that replaces the one derived from an environment of lerobot's.
        quality: of LIBERO's pictures; others have one only.

    Raises:
        ConfigurationError: lerobot is not installed, the name cannot be read, a contract is
            named for LIBERO, which has its own, or another quality for others.
    """
    if env == LIBERO:
        if contract:
            raise ConfigurationError(
                complaint("--contract with --env libero", str(contract), "none: it has its own")
            )
        return LiberoBenchmark(quality)
    if quality != "full":
        raise ConfigurationError(complaint(f"Render quality of {env}", quality, "full"))
    try:
        from vla_sae_ros.sim.lerobot_envs.benchmark import LerobotBenchmark
    except ImportError as error:
        raise ConfigurationError(
            f"--env {env} needs lerobot ({error}). Install the extra: pip install "
            "'vla_sae_ros[policy]'."
        ) from error
    return LerobotBenchmark(env, Path(contract) if contract else None)
