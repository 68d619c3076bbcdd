"""Policies by the name they have on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.folders import HUB_ID

FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
CODE = "*.py"
HUB_WORDS = ("huggingface.co", "offline", "hf_hub_offline", "connection")


def policy_folder(name: Path | str, with_code: bool = False) -> Path:
    """Return the folder of a policy: itself, or the local copy of the hub's "owner/name".

    with_code: with the Python files that lie there, for a policy whose code may run.

    Raises:
        ConfigurationError: no folder, and not to be had from the hub.
    """
    folder = Path(name)
    if folder.exists() or not HUB_ID.fullmatch(str(name)):
        return folder
    try:
        files = [*FILES, CODE] if with_code else list(FILES)
        return Path(snapshot_download(str(name), allow_patterns=files))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise ConfigurationError(
            f"There is no policy folder {name}, and no policy of that name could be downloaded "
            f"from the Hugging Face hub ({type(error).__name__}). Name an existing folder, or "
            "download the policy on a machine with a network, without HF_HUB_OFFLINE: hf download "
            f"{name}"
        ) from error


def is_hub_error(error: Exception) -> bool:
    """Return whether an error says that a file of the hub is not on this machine."""
    cause = error.__cause__ or error  # lerobot wraps it where a policy's tokenizer is missing
    text = str(cause).lower()
    return isinstance(cause, OSError) and any(word in text for word in HUB_WORDS)
