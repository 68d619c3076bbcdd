"""Policies that were fine-tuned with LoRA: an adapter's folder beside the policy it changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.json_document import parse_json

if TYPE_CHECKING:
    from lerobot.policies.pretrained import PreTrainedPolicy

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def is_adapter(folder: Path) -> bool:
    """Return whether a folder holds what peft saves instead of a policy's weights."""
    return (folder / ADAPTER_CONFIG).is_file()


def base_of(folder: Path) -> str:
    """Return what an adapter's folder names as its base: a folder, or "owner/name" on the hub.

    A relative folder that is not there is looked for beside the adapter's.

    Raises:
        ConfigurationError: it names none, or has no weights.
    """
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise ConfigurationError(f"{folder} has {ADAPTER_CONFIG} and no {ADAPTER_WEIGHTS}.")
    try:
        described: Any = parse_json((folder / ADAPTER_CONFIG).read_text("utf-8"))
        base = described["base_model_name_or_path"] or ""
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{folder / ADAPTER_CONFIG} is not a description of an adapter "
            f"({type(error).__name__}: {error})."
        ) from error
    if not isinstance(base, str) or not base:
        raise ConfigurationError(
            complaint(
                f"base_model_name_or_path in {folder / ADAPTER_CONFIG}",
                base,
                "the folder or the hub's name of the policy that was fine-tuned",
                "Write it into the file.",
            )
        )
    beside = folder.parent / base
    return str(beside) if not Path(base).exists() and beside.is_dir() else base


def merged(policy: PreTrainedPolicy, folder: Path) -> PreTrainedPolicy:
    """Return the policy with the adapter's changes added to its weights.

    So its modules are those of a policy that was fine-tuned whole, and so are its sites.

    Raises:
        ConfigurationError: peft is not installed, or the adapter is of another policy.
    """
    try:
        from peft import PeftModel, get_peft_model_state_dict
    except ImportError as error:
        raise ConfigurationError(
            f"{folder} is a LoRA adapter, and peft, which loads it, is not installed ({error}): "
            "pip install 'peft>=0.18,<1'. Or add it to the policy's weights where peft is "
            "(merge_and_unload), and save that."
        ) from error
    from safetensors.torch import load_file

    saved = load_file(folder / ADAPTER_WEIGHTS)
    adapted = PeftModel.from_pretrained(policy, str(folder))
    known = get_peft_model_state_dict(adapted)
    if saved.keys() != known.keys():
        differing = sorted(saved.keys() ^ known.keys())
        raise ConfigurationError(
            complaint(
                f"weights of the LoRA adapter in {folder}",
                f"{len(differing)} that are missing in the adapter or in the policy, e.g. "
                f"{differing[0]}",
                "those of the policy that it was trained on",
                "Check base_model_name_or_path.",
            )
        )
    whole: PreTrainedPolicy = adapted.merge_and_unload()
    return whole
