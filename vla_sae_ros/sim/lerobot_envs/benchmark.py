"""Tasks, environments and contracts of one of lerobot's environments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vla_sae_ros.core.contract import Contract, load_contract, parse_contract
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sim.environment import TaskSpec
from vla_sae_ros.sim.lerobot_envs.config import EnvName, parse_name
from vla_sae_ros.sim.lerobot_envs.environment import Facts, LerobotEnvironment, facts_of
from vla_sae_ros.sim.worker import RESET_LIMIT_S, STEP_LIMIT_S


class LerobotBenchmark:
    """See Benchmark.

    Args:
        text: what `--env` names, e.g. "metaworld:task=push-v3" or "so101:image_obs=true".
        contract: file that says what policies see and do; None: what the environment says.
    """

    init_states = training_states = "0"
    """Its seed decides a scene."""

    def __init__(self, text: str, contract: Path | None = None) -> None:
        self._name: EnvName = parse_name(text)
        self._contract = load_contract(contract) if contract else None
        self._facts: dict[str, Facts] = {}

    @property
    def env(self) -> str:
        return self._name.text

    def tasks(self, suite: str = "") -> tuple[TaskSpec, ...]:
        """See Benchmark.tasks."""
        return self.facts(suite).tasks

    def find_task(self, suite: str, index: int) -> TaskSpec:
        """See Benchmark.find_task."""
        tasks = {task.task_index: task for task in self.tasks(suite)}
        if index not in tasks:
            listing = "; ".join(f"{task.task_index}: {task.name}" for task in tasks.values())
            raise ConfigurationError(complaint(f"Unknown task of {self.env}", index, listing))
        return tasks[index]

    def contract(self, suite: str = "") -> Contract:
        """Return the contract of the file, or else the one that follows from the environment."""
        return self._contract or parse_contract(self.contract_document(suite))

    def contract_document(self, suite: str = "") -> dict[str, Any]:
        """Return the contract that follows from the environment, as its YAML file has it."""
        return self.facts(suite).document(self._name.kind)

    def environment(
        self,
        suite: str = "",
        reset_limit_s: float = RESET_LIMIT_S,
        step_limit_s: float = STEP_LIMIT_S,
    ) -> LerobotEnvironment:
        """See Benchmark.environment."""
        return LerobotEnvironment(
            self._name.of_suite(suite),
            self.facts(suite),
            self.contract(suite),
            reset_limit_s,
            step_limit_s,
        )

    def facts(self, suite: str = "") -> Facts:
        """Return what is known of a suite; the first time the environment is made for it."""
        name = self._name.of_suite(suite)
        if name.suite not in self._facts:
            self._facts[name.suite] = facts_of(name)
        return self._facts[name.suite]
