"""The reference pages of the site, generated from the code.

Commands, messages, parameters, launch arguments and environment variables.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

from vla_sae_ros.cli import COMMANDS, TOPICS
from vla_sae_ros.commands import leaves
from vla_sae_ros.core.parameters import Parameter, parameters_of
from vla_sae_ros.environment import VARIABLES
from vla_sae_ros.nodes.markers.parameters import MarkersParameters
from vla_sae_ros.nodes.monitor.parameters import MonitorParameters
from vla_sae_ros.nodes.policy.parameters import PolicyParameters
from vla_sae_ros.nodes.recorder.parameters import RecorderParameters
from vla_sae_ros.nodes.robot.forward_watchdog_node import WatchdogParameters
from vla_sae_ros.nodes.robot.parameters import RobotBridgeParameters
from vla_sae_ros.nodes.robot.simulated_robot_node import SimulatedRobotParameters
from vla_sae_ros.nodes.sim.droid_scene_node import SceneParameters
from vla_sae_ros.nodes.sim.parameters import SimBridgeParameters
from vla_sae_ros.systems.robots import SYSTEMS

ROOT = Path(__file__).resolve().parents[1]
NODES: Mapping[str, type] = {
    "policy_node": PolicyParameters,
    "sim_bridge_node": SimBridgeParameters,
    "robot_bridge_node": RobotBridgeParameters,
    "recorder_node": RecorderParameters,
    "markers_node": MarkersParameters,
    "monitor_node": MonitorParameters,
    "forward_watchdog_node": WatchdogParameters,
    "simulated_robot_node": SimulatedRobotParameters,
    "droid_scene_node": SceneParameters,
}


def pages() -> dict[str, str]:
    """Return file name -> text in Markdown of every page."""
    return {
        "commands.md": commands(),
        "messages.md": messages(),
        "parameters.md": parameters(),
        "launch_arguments.md": launch_files(),
        "environment_variables.md": variables(),
    }


def commands() -> str:
    """Return the help texts of all commands, by topic."""
    parts = ["# Commands"]
    for topic, listed in TOPICS.items():
        parts.append(f"## {topic}")
        for words, module in leaves(listed, "vla-sae"):
            parser = argparse.ArgumentParser(prog=words)
            module.add_arguments(parser)
            summary = next((c.summary for c in COMMANDS if words.split()[-1] == c.name), "")
            parts += [f"### {words}", summary, f"```text\n{parser.format_help()}```"]
            parts += [
                f"```text\n{subparser.format_help()}```"
                for action in parser._actions
                if isinstance(action, argparse._SubParsersAction)
                for subparser in action.choices.values()
            ]
    return "\n\n".join(parts) + "\n"


def messages() -> str:
    """Return the definitions of messages, services and actions, with their comments."""
    parts = ["# Messages, services and actions"]
    for title, folder in (("Messages", "msg"), ("Services", "srv"), ("Actions", "action")):
        parts.append(f"## {title}")
        for path in sorted((ROOT / folder).glob(f"*.{folder}")):
            parts += [f"### {path.stem}", f"```text\n{path.read_text(encoding='utf-8')}```"]
    return "\n\n".join(parts) + "\n"


def parameters() -> str:
    """Return the parameters of every node."""
    parts = ["# Parameters", "*live*: can be changed while the node runs."]
    for node, kind in NODES.items():
        parts += [f"## {node}", table(parameters_of(kind))]
    return "\n\n".join(parts) + "\n"


def launch_files() -> str:
    """Return the arguments of every launch file; `vla-sae up` has them as options."""
    parts = ["# Launch arguments", "`vla-sae up` has the same as options."]
    for name, system in SYSTEMS.items():
        title = f"## {name.replace('-', '_')}.launch.py"
        parts += [title, table(system.arguments)]
    return "\n\n".join(parts) + "\n"


def variables() -> str:
    """Return the environment variables that are read."""
    rows = [f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items()]
    return "\n".join(
        ["# Environment variables", "", "| variable | meaning |", "|---|---|", *rows, ""]
    )


def table(rows: Iterable[Parameter]) -> str:
    """Return parameters as a table."""
    lines = ["| name | default | allowed | meaning |", "|---|---|---|---|"]
    for each in rows:
        allowed = each.allowed + (" *live*" if each.live else "")
        meaning = each.description.replace("|", "\\|")
        lines.append(f"| `{each.name}` | `{each.default!r}` | {allowed} | {meaning} |")
    return "\n".join(lines)


if __name__ == "__main__":
    for name, text in pages().items():
        print(f"<!-- {name} -->\n{text}")
