"""The process of the simulation bridge: LIBERO, or another environment, behind `run_episode`."""

from __future__ import annotations

from vla_sae_ros.core.picture_record import Quality
from vla_sae_ros.nodes.base.running import exit_at_once, run_node
from vla_sae_ros.nodes.sim.bridge import SimBridge
from vla_sae_ros.nodes.sim.parameters import SimBridgeParameters
from vla_sae_ros.sim.benchmark import benchmark_named
from vla_sae_ros.sim.environment import LIBERO, Environment, TaskSpec


class ChosenBenchmark:
    """The benchmark that the node's parameters name, from when they are known."""

    def environment(self, values: SimBridgeParameters) -> Environment:
        """Return its environment with the limits and the quality that the parameters say."""
        foreign = values.contract if values.env != LIBERO else ""
        quality: Quality = "quick" if values.render_quality == "quick" else "full"
        self._benchmark = benchmark_named(values.env, foreign, quality)
        return self._benchmark.environment(values.suite, values.reset_timeout, values.step_timeout)

    def find_task(self, suite: str, index: int) -> TaskSpec:
        """Return a task; raises ConfigurationError naming what there is."""
        return self._benchmark.find_task(suite, index)


def make_node() -> SimBridge:
    """Return the bridge over LIBERO or another environment."""
    chosen = ChosenBenchmark()
    return SimBridge(chosen.environment, chosen.find_task)


def main(args: list[str] | None = None) -> int:
    """Run the bridge; return the exit status."""
    return run_node(make_node, args)


if __name__ == "__main__":
    exit_at_once(main())
