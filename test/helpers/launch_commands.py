"""Render a launch file of this package to commands, without launch: a small runner of its own.

    python launch_commands.py sim.launch.py name:=value ...

Prints a list in JSON: the name, the command line and the additional environment of each node, as
launch_ros would start it. It knows only what our launch files use.
"""

from __future__ import annotations

import json
import runpy
import shlex
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import yaml
from ament_index_python.packages import get_package_prefix


class Action(SimpleNamespace):
    """Keeps what it is made with."""

    def __init__(self, *positional: object, **keywords: object) -> None:
        super().__init__(positional=positional, **keywords)


class Node(Action):
    """launch_ros.actions.Node."""


class Argument(Action):
    """launch.actions.DeclareLaunchArgument."""


class Opaque(Action):
    """launch.actions.OpaqueFunction."""


def stand_in(name: str, **members: object) -> None:
    module = ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module


def described(file: Path, given: dict[str, str]) -> list[Node]:
    stand_in("launch", LaunchDescription=list)
    stand_in(
        "launch.actions", DeclareLaunchArgument=Argument, OpaqueFunction=Opaque, Shutdown=Action
    )
    stand_in("launch_ros")
    stand_in("launch_ros.actions", Node=Node)
    entities = runpy.run_path(str(file))["generate_launch_description"]()
    declared = {e.positional[0]: e.default_value for e in entities if isinstance(e, Argument)}
    assert given.keys() <= declared.keys(), given.keys() - declared.keys()
    context = SimpleNamespace(launch_configurations=declared | given)
    return [node for e in entities if isinstance(e, Opaque) for node in e.function(context)]


def command(node: Node) -> list[str]:
    prefix = Path(get_package_prefix(node.package))
    words = shlex.split(getattr(node, "prefix", ""))
    words += [str(prefix / "lib" / node.package / node.executable), "--ros-args"]
    words += ["-r", f"__node:={node.name}"]
    if node.namespace:
        words += ["-r", f"__ns:=/{node.namespace}"]
    for source, target in node.remappings:
        words += ["-r", f"{source}:={target}"]
    for parameters in node.parameters:
        if isinstance(parameters, dict):
            with tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False) as file:
                yaml.safe_dump({"/**": {"ros__parameters": parameters}}, file)
            parameters = file.name
        words += ["--params-file", parameters]
    return words


if __name__ == "__main__":
    share = Path(get_package_prefix("vla_sae_ros")) / "share" / "vla_sae_ros"
    nodes = described(
        share / "launch" / sys.argv[1], dict(word.split(":=", 1) for word in sys.argv[2:])
    )
    rendered = [
        {"name": n.name, "command": command(n), "env": getattr(n, "additional_env", {})}
        for n in nodes
    ]
    print(json.dumps(rendered))
