"""Folders that hold a policy in another form than lerobot's: named as what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.json_document import parse_json
from vla_sae_ros.policy.checkpoints.checkpoint_files import CONFIG, WEIGHTS
from vla_sae_ros.policy.checkpoints.lora import ADAPTER_CONFIG

_ORBAX = ("_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt", "_sharding")
_OPENPI_FIELDS = {"paligemma_variant", "action_expert_variant"}
_OPENPI_STEPS = (
    "Convert it to PyTorch weights with openpi's own script (python "
    "examples/convert_jax_model_to_pytorch.py --checkpoint_dir FOLDER --config_name NAME "
    "--output_path OUT --precision float32). lerobot's pi0 and pi05 classes load these weights "
    "under the same names; docs/families.md shows how to write config.json and the processors."
)
_OPENPI_CONVERTED = (
    "lerobot's pi0 and pi05 classes load its weights under the same names; docs/families.md shows "
    "how to write config.json and the processors."
)


def refuse_foreign(folder: Path) -> None:
    """Raise ConfigurationError, with the way on, for a folder of another library's.

    Known are openpi's checkpoints, as JAX and as PyTorch, and LoRA adapters without a policy's
    configuration.
    """
    if _is_orbax(folder):
        raise ConfigurationError(
            f"{folder} is a JAX checkpoint of openpi (orbax: params, assets). {_OPENPI_STEPS}"
        )
    config = _read(folder / CONFIG)
    if config.keys() >= _OPENPI_FIELDS and "type" not in config:
        raise ConfigurationError(
            f"{folder} is a PyTorch checkpoint of openpi, which lerobot cannot load without "
            f"further files; {_OPENPI_CONVERTED}"
        )
    if (folder / ADAPTER_CONFIG).is_file() and not (folder / CONFIG).is_file():
        base = _read(folder / ADAPTER_CONFIG).get("base_model_name_or_path") or "its base policy"
        raise ConfigurationError(
            f"{folder} is a LoRA adapter (peft) of {base} without the policy's own {CONFIG} and "
            "processors. Name the pretrained_model folder of lerobot's training output, which has "
            "all of them."
        )
    if not (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file() and _has_assets(folder):
        raise ConfigurationError(
            f"{folder} contains weights with openpi's assets but no {CONFIG}; {_OPENPI_CONVERTED}"
        )


def _is_orbax(folder: Path) -> bool:
    """Whether a folder is a step of openpi's training, or its `params` alone."""
    places = (folder, folder / "params", folder / "train_state")
    return any((place / name).exists() for place in places for name in _ORBAX)


def _has_assets(folder: Path) -> bool:
    return any((folder / "assets").glob("**/norm_stats.json"))


def _read(path: Path) -> dict[str, Any]:
    """Return what a JSON file says; empty where it cannot be read: others say what is wrong."""
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
