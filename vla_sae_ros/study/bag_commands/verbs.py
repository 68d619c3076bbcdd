"""`vla-sae bag <verb>`: what can be done with a recorded bag."""

from __future__ import annotations

from vla_sae_ros.commands import FOLDERS, Command, Read

_BAG = (Read(0, FOLDERS, "require_bag"),)
_REPLAY = (
    *_BAG,
    Read("--policy", FOLDERS, "require_policy"),
    Read("--bundles", FOLDERS, "require_bundle"),
)

COMMANDS = (
    Command(
        "info",
        "vla_sae_ros.study.bag_commands.info",
        "contents of a bag, and what is missing",
        reads=_BAG,
    ),
    Command(
        "replay",
        "vla_sae_ros.study.replay.command",
        "infer again, bit-identically or what-if",
        reads=_REPLAY,
    ),
    Command(
        "inject",
        "vla_sae_ros.study.replay.inject_command",
        "infer again with another episode's residual stream at a site",
        reads=_REPLAY,
    ),
    Command(
        "plot",
        "vla_sae_ros.study.bag_commands.plot",
        "feature traces as PNG and interactive HTML",
        reads=_BAG,
    ),
    Command(
        "export",
        "vla_sae_ros.study.bag_commands.export",
        "tables as Parquet or CSV; LeRobotDataset",
        reads=_BAG,
    ),
    Command(
        "video",
        "vla_sae_ros.study.bag_commands.video",
        "cameras, heatmap and traces as MP4",
        reads=_BAG,
    ),
    Command(
        "rerun",
        "vla_sae_ros.live.bag_rerun",
        "an .rrd file, or live, for the Rerun viewer",
        reads=_BAG,
    ),
    Command(  # takes a bag's file, too, and refuses by itself what is not there
        "repair",
        "vla_sae_ros.study.bag_commands.repair",
        "a readable bag from one left by a crash",
    ),
    Command(
        "compare",
        "vla_sae_ros.study.bag_commands.compare",
        "what steering changed between two episodes",
        reads=_BAG,
    ),
)
