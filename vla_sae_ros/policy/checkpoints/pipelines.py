"""The steps that a checkpoint's processors name: lerobot's and its plugins' own, and no others.

lerobot imports whatever a step's "class" names and calls it with the step's "config", before it
looks whether that is a step at all.
"""

from __future__ import annotations

import importlib
from pathlib import Path, PurePath
from typing import Any

from lerobot.processor import ProcessorStep

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.json_document import parse_json
from vla_sae_ros.policy.checkpoints.checkpoint_files import POSTPROCESSOR, PREPROCESSOR

_OWNERS = ("lerobot", "lerobot_")
"""The package of a step's class: lerobot, or one whose name begins as its plugins' names do."""
_COPY = "Copy the checkpoint again with all its files."


def check_pipelines(folder: Path) -> None:
    """Refuse processors that lerobot cannot make, or must not; nothing of them is made.

    Raises:
        ConfigurationError: naming the file, the step and what is wrong with it.
    """
    for name in (PREPROCESSOR, POSTPROCESSOR):
        for number, step in enumerate(steps_of(folder / name)):
            where = f"step {number} of {folder / name}"
            _check_class(step, where)
            _check_state(step.get("state_file"), where)
            _check_renames(step["config"].get("rename_map", {}), where)


def steps_of(path: Path) -> list[dict[str, Any]]:
    """Return the steps of a processor's file, each with its "config".

    Raises:
        ConfigurationError: it is not a description of a processor.
    """
    try:
        steps = parse_json(path.read_bytes())["steps"]
        described = [{**step, "config": {**step.get("config", {})}} for step in steps]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"{path} is not a description of a processor ({type(error).__name__}: {error}). {_COPY}"
        ) from error
    return described


def _check_class(step: dict[str, Any], where: str) -> None:
    if isinstance(step.get("registry_name"), str):
        return
    path = step.get("class")
    if not isinstance(path, str):
        raise ConfigurationError(complaint(where, step, "a registry_name or a class", _COPY))
    module, _, name = path.rpartition(".")
    owner = module.partition(".")[0]
    if owner == _OWNERS[0] or owner.startswith(_OWNERS[1]):
        try:
            found = getattr(importlib.import_module(module), name, None)
        except ImportError:
            found = None
        if isinstance(found, type) and issubclass(found, ProcessorStep):
            return
    raise ConfigurationError(
        complaint(
            f"class of {where}",
            path,
            "a processor step of lerobot's or of an installed plugin's (lerobot_*)",
            "Anything else could run any command when the policy is loaded.",
        )
    )


def _check_state(name: object, where: str) -> None:
    if name is not None and (not isinstance(name, str) or PurePath(name).name != name):
        raise ConfigurationError(
            complaint(f"state_file of {where}", name, "a file inside the checkpoint", _COPY)
        )


def _check_renames(renames: object, where: str) -> None:
    fine = isinstance(renames, dict) and all(
        isinstance(name, str) for pair in renames.items() for name in pair
    )
    if not fine:
        raise ConfigurationError(
            complaint(f"rename_map of {where}", renames, "names to names, as lerobot writes them")
        )
