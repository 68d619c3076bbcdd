"""Folders and files that a command line names, refused before what reads them is imported.

PyTorch and lerobot take seconds; whether a folder is there does not. And the lock of a folder that
is written to.
"""

from __future__ import annotations

import fcntl
import re
from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError, RecordingError, complaint

BUNDLE_FILE = "bundle.yaml"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
"""What a policy is called on the Hugging Face hub: owner/name."""
NO_POLICY = ("expert",)
"""What stands in the place of a policy's folder and is none: `rollout --policy expert`."""
LOCK_FILE = "lock"


class FolderLock:
    """One process writes to a folder at a time: two would undo one another.

    Held until `release`, or until the process ends. Raises ConfigurationError if another has it.
    """

    def __init__(self, folder: Path) -> None:
        self._file = (folder / LOCK_FILE).open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ConfigurationError(
                f"{folder} is being written by another process. Wait for it or stop it, or name "
                "another folder with --out."
            ) from None

    def release(self) -> None:
        """Let others write."""
        fcntl.flock(self._file, fcntl.LOCK_UN)  # processes that were forked have the file, too
        self._file.close()


def require_policy(folder: Path) -> None:
    """Refuse what is neither a folder nor a name on the hub."""
    name = str(folder)
    if folder.is_dir() or name in NO_POLICY or (HUB_ID.fullmatch(name) and not folder.exists()):
        return
    raise ConfigurationError(
        f"There is no policy folder {folder}. Name a folder that contains config.json, "
        "model.safetensors and the processor files of a lerobot checkpoint."
    )


def require_bundle(folder: Path) -> None:
    """Refuse a folder without a bundle's card."""
    if not (folder / BUNDLE_FILE).is_file():
        raise ConfigurationError(
            f"Cannot read {folder / BUNDLE_FILE}: there is no such file. A bundle folder contains "
            f"{BUNDLE_FILE}, catalogue.json and the SAE's files."
        )


def require_sae(folder: Path) -> None:
    """Refuse a folder of an autoencoder that is not there."""
    if not folder.is_dir():
        raise ConfigurationError(f"There is no SAE folder {folder}.")


def require_bag(folder: Path) -> None:
    """Refuse a folder of a bag that is not there, with a RecordingError."""
    if not folder.is_dir():
        raise RecordingError(complaint("no such folder", str(folder), "the folder of a bag"))


def require_folder(folder: Path) -> None:
    """Refuse a folder that is not there."""
    if not folder.is_dir():
        raise ConfigurationError(complaint("no such folder", str(folder), "a folder"))


def require_file(path: Path) -> None:
    """Refuse a file that is not there."""
    if not path.is_file():
        raise ConfigurationError(complaint("no such file", str(path), "a file"))
