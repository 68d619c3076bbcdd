"""`vla-sae steer preset`: the standing edits into a file, and a file's edits into a system."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from vla_sae_ros.clients.steer_client import SteerClient
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.steering import format_preset, preset_of, read_preset, to_view


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `preset save` and `preset load`."""
    actions = parser.add_subparsers(dest="preset_action", metavar="action", required=True)
    save = actions.add_parser("save", help="write the edits in place and the ids of their bundles")
    save.add_argument("file", type=Path, help="new YAML file; the preset is named after it")
    load = actions.add_parser("load", help="set the edits of a preset, all or none")
    load.add_argument("file", type=Path, help="YAML file of a preset, also one saved by the panel")
    load.add_argument("--hold", action="store_true", help="return and leave the edits in place")


def run(client: SteerClient, args: argparse.Namespace) -> None:
    """Do it and say so; raises ConfigurationError for a file that cannot be used."""
    (_save if args.preset_action == "save" else _load)(client, args)


def _save(client: SteerClient, args: argparse.Namespace) -> None:
    file: Path = args.file
    view = to_view(client.state())
    preset = preset_of(file.stem, view, client.bundles())
    if not preset.edits:
        raise ConfigurationError("there is no edit to save in a preset; see: vla-sae steer list")
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(format_preset(preset.name, preset.edits, preset.bundles))
    except FileExistsError as error:
        raise ConfigurationError(
            complaint("the preset exists already", str(file), "a new file")
        ) from error
    except OSError as error:
        raise ConfigurationError(f"the preset cannot be written: {error}") from error
    print(f"{len(preset.edits)} edit(s) written to {file}")


def _load(client: SteerClient, args: argparse.Namespace) -> None:
    preset = read_preset(args.file)
    if args.hold:
        preset = replace(preset, edits=tuple(replace(edit, hold=True) for edit in preset.edits))
    revision = client.apply_preset(preset)
    print(f"accepted: {len(preset.edits)} edit(s) of {preset.name!r}, revision {revision}")
    kept = tuple(edit for edit in preset.edits if edit.hold)
    if kept == preset.edits:
        return
    print("holding them until Ctrl-C, or for the time given in the preset", flush=True)
    try:
        client.wait_until_gone(revision)
        print("every edit of the preset is natural again")
    except KeyboardInterrupt:
        client.apply_preset(replace(preset, edits=kept))
        print("released the edits of the preset")
