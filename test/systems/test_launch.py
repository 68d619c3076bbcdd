"""launch is not on the wheels' side: the launch file is run with stand-ins for it.

The stand-ins record what they are given. They do not check that launch accepts it.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.systems.launching import as_text, node_keywords
from vla_sae_ros.systems.pythons import VARIABLE
from vla_sae_ros.systems.robots import REHEARSAL_ARGUMENTS, ROBOT_ARGUMENTS
from vla_sae_ros.systems.simulation import SIMULATION_ARGUMENTS, NodeSpec

LAUNCH = Path(__file__).parents[2] / "launch"
FILES = {
    "sim.launch.py": SIMULATION_ARGUMENTS,
    "droid.launch.py": ROBOT_ARGUMENTS,
    "droid_sim.launch.py": REHEARSAL_ARGUMENTS,
}


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


@pytest.fixture(params=["sim.launch.py"])
def entities(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[FakeAction]:
    """Return what a launch file describes: sim.launch.py, unless a test asks for others."""
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
    return runpy.run_path(str(LAUNCH / request.param))["generate_launch_description"]()


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def started(entities: list[FakeAction], **given: str) -> dict[str, FakeNode]:
    """Run the launch file's function with these launch arguments; return its nodes by name."""
    defaults = {one.name: as_text(one.default) for one in SIMULATION_ARGUMENTS}
    context = SimpleNamespace(launch_configurations=defaults | given)
    nodes = entities[-1].function(context)
    return {node.name: node for node in nodes}


@pytest.mark.parametrize(
    ("entities", "arguments"), FILES.items(), indirect=["entities"], ids=list(FILES)
)
def test_every_argument_of_the_system_is_a_launch_argument(entities, arguments) -> None:
    declared = [entity for entity in entities if isinstance(entity, FakeDeclareLaunchArgument)]
    assert [entity.positional[0] for entity in declared] == [one.name for one in arguments]
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


def test_a_node_without_torch_runs_in_the_python_of_launch(entities, policy: Path) -> None:
    nodes = started(entities, policy=str(policy), panel="true", markers="true")
    own = {name for name, node in nodes.items() if getattr(node, "prefix", "") == sys.executable}
    assert own == {"recorder", "panel", "markers"}


def test_policy_python_is_handed_to_the_policy_node_alone(entities, policy: Path) -> None:
    nodes = started(entities, policy=str(policy), policy_python=sys.executable)
    told = {name: getattr(node, "additional_env", {}) for name, node in nodes.items()}
    assert told == {"policy": {VARIABLE: sys.executable}, "bridge": {}, "recorder": {}}


def test_a_policy_python_that_is_none_is_refused_before_anything_starts(
    entities, policy: Path
) -> None:
    with pytest.raises(ConfigurationError, match="argument 'policy_python'"):
        started(entities, policy=str(policy), policy_python=str(policy / "config.json"))


@pytest.mark.parametrize("entities", FILES, indirect=True)
@pytest.mark.parametrize("by", ["package", "path"])
def test_an_argument_that_nobody_declares_is_refused(
    entities: list[FakeAction],
    by: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = request.node.callspec.params["entities"]
    where = ["vla_sae_ros", file] if by == "package" else [str(LAUNCH / file)]
    monkeypatch.setattr(sys, "argv", ["/opt/ros/bin/ros2", "launch", *where, "polcy:=somewhere"])
    (opaque,) = (each for each in entities if isinstance(each, FakeOpaqueFunction))
    declared = {each.name: as_text(each.default) for each in FILES[file]}
    context = SimpleNamespace(launch_configurations=declared)
    with pytest.raises(ConfigurationError, match=r"'polcy'.*Did you mean 'policy'"):
        opaque.function(context)


def test_arguments_of_another_launch_file_are_not_ours(
    entities: list[FakeAction], policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["ros2", "launch", "lab", "sim.launch.py", "polcy:=ours"])
    assert "policy" in started(entities, policy=str(policy))
