"""The process of the simulation bridge: LIBERO behind `run_episode`."""

from __future__ import annotations

from vla_sae_ros.nodes.base.running import exit_at_once, run_node
from vla_sae_ros.nodes.sim.bridge import SimBridge
from vla_sae_ros.nodes.sim.parameters import SimBridgeParameters
from vla_sae_ros.sim.environment import Environment, TaskSpec


def make_environment(values: SimBridgeParameters) -> Environment:
    """Return LIBERO with the limits and the quality that the parameters say."""
    # Importing LIBERO takes ten seconds: a wrong parameter is refused before that.
    from vla_sae_ros.sim.libero import LiberoEnvironment

    return LiberoEnvironment(
        values.render_quality,
        reset_limit_s=values.reset_timeout,
        step_limit_s=values.step_timeout,
    )


def find_task(suite: str, index: int) -> TaskSpec:
    """Return a LIBERO task; raises ConfigurationError naming what there is."""
    from vla_sae_ros.sim import suites

    return suites.find_task(suite, index)


def make_node() -> SimBridge:
    """Return the bridge over LIBERO."""
    return SimBridge(make_environment, find_task)


def main(args: list[str] | None = None) -> int:
    """Run the bridge; return the exit status."""
    return run_node(make_node, args)


if __name__ == "__main__":
    exit_at_once(main())
