"""launch is not on the wheels' side: the launch file is run with stand-ins for it.

The stand-ins record what they are given. They do not check that launch accepts it.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from vla_sae_ros.systems.launching import as_text, node_keywords
from vla_sae_ros.systems.simulation import SIMULATION_ARGUMENTS, NodeSpec

LAUNCH_FILE = Path(__file__).parents[2] / "launch" / "sim.launch.py"


class FakeAction(SimpleNamespace):
    """Keeps the arguments that it is made with."""

    def __init__(self, *positional: object, **keywords: object) -> None:
        super().__init__(positional=positional, **keywords)


class FakeNode(FakeAction):
    pass


class FakeShutdown(FakeAction):
    pass


class FakeDeclareLaunchArgument(FakeAction):
    pass


class FakeOpaqueFunction(FakeAction):
    pass


@pytest.fixture
def entities(monkeypatch: pytest.MonkeyPatch) -> list[FakeAction]:
    """Return what the launch file describes."""
    fakes = {
        "launch": {"LaunchDescription": list},
        "launch.actions": {
            "DeclareLaunchArgument": FakeDeclareLaunchArgument,
            "OpaqueFunction": FakeOpaqueFunction,
            "Shutdown": FakeShutdown,
        },
        "launch_ros": {},
        "launch_ros.actions": {"Node": FakeNode},
    }
    for name, members in fakes.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    return runpy.run_path(str(LAUNCH_FILE))["generate_launch_description"]()


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def started(entities: list[FakeAction], **given: str) -> dict[str, FakeNode]:
    """Run the launch file's function with these launch arguments; return its nodes by name."""
    defaults = {argument.name: as_text(argument.default) for argument in SIMULATION_ARGUMENTS}
    context = SimpleNamespace(launch_configurations=defaults | given)
    nodes = entities[-1].function(context)
    return {node.name: node for node in nodes}


def test_every_argument_of_the_system_is_a_launch_argument(entities) -> None:
    declared = [entity for entity in entities if isinstance(entity, FakeDeclareLaunchArgument)]
    assert [entity.positional[0] for entity in declared] == [
        argument.name for argument in SIMULATION_ARGUMENTS
    ]
    assert all(entity.description for entity in declared)


def test_launch_starts_the_nodes_of_the_system(entities, policy: Path) -> None:
    nodes = started(entities, policy=str(policy), task="3", namespace="left")
    assert list(nodes) == ["policy", "bridge", "recorder"]
    bridge = nodes["bridge"]
    assert (bridge.package, bridge.executable) == ("vla_sae_ros", "sim_bridge_node")
    assert bridge.namespace == "left"
    assert bridge.parameters[0]["task"] == 3


def test_a_needed_node_shuts_the_launch_down_and_another_is_respawned() -> None:
    needed = node_keywords(NodeSpec("bridge", "e", "m"), "", FakeShutdown)
    assert needed["on_exit"][0].reason == "bridge has ended"
    mended = node_keywords(NodeSpec("policy", "e", "m", on_exit="restart"), "", FakeShutdown)
    assert mended["respawn"] is True and "on_exit" not in mended
    assert mended["respawn_max_retries"] > 0, "a node that refuses its configuration must end"
    ignored = node_keywords(NodeSpec("panel", "e", "m", on_exit="ignore"), "", FakeShutdown)
    assert not {"respawn", "on_exit"} & set(ignored)
