"""Loading an autoencoder from a folder of any supported format, which its files tell."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.folders import require_sae
from vla_sae_ros.sae.devices import usable_device
from vla_sae_ros.sae.formats import action_atlas, dictionary_learning, drvla, saelens, sparsify
from vla_sae_ros.sae.kinds.saving import SAELENS_WEIGHTS, SPARSIFY_WEIGHTS
from vla_sae_ros.sae.kinds.sparse_autoencoder import SparseAutoencoder


@dataclass(frozen=True)
class Format:
    """A checkpoint format: its name, the names its weights file can have, and its reader."""

    name: str
    weights_files: tuple[str, ...]
    read: Callable[[Path], SparseAutoencoder]

    def weights_in(self, folder: Path) -> bool:
        """Return whether `folder` holds a weights file of this format."""
        return any((folder / name).is_file() for name in self.weights_files)


FORMATS = (
    Format("SAELens", (SAELENS_WEIGHTS,), saelens.load_sae),
    Format("sparsify", (SPARSIFY_WEIGHTS,), sparsify.load_sae),
    Format(
        "dictionary_learning", (dictionary_learning.WEIGHTS_FILE,), dictionary_learning.load_sae
    ),
    Format("Dr.VLA", (drvla.WEIGHTS_FILE,), drvla.load_sae),
    Format("Action Atlas", action_atlas.WEIGHTS_FILES, action_atlas.refuse_negative_codes),
)


def load(
    folder: str | os.PathLike[str],
    device: str | torch.device = "cpu",
    drop_negative_codes: bool = False,
) -> SparseAutoencoder:
    """Return the autoencoder stored in `folder`, in float32 on `device`.

    drop_negative_codes: read the negative codes of an Action Atlas SAE as 0, instead of refusing
    it. Raises ConfigurationError for a folder of no known format or of several, a damaged file,
    one that could run code when loaded, and an architecture or normalisation this package does
    not do; each by name.
    """
    folder = Path(folder)
    read = detect(folder).read
    if read is action_atlas.refuse_negative_codes and drop_negative_codes:
        read = action_atlas.load_sae
    return read(folder).to(usable_device(device))


def detect(folder: Path) -> Format:
    """Return the format whose files `folder` holds. Raises ConfigurationError for none or many."""
    require_sae(folder)
    found = [known for known in FORMATS if known.weights_in(folder)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigurationError(
            f"{folder} contains weights in several SAE formats: "
            f"{', '.join(known.name for known in found)}. Keep only one of them."
        )
    files = ", ".join(f"{known.weights_files[0]} ({known.name})" for known in FORMATS)
    raise ConfigurationError(
        f"{folder} contains no SAE in a known format; known formats: {files}.{_below(folder)}"
    )


def _below(folder: Path) -> str:
    inside = sorted(
        one.name for one in folder.iterdir() if any(known.weights_in(one) for known in FORMATS)
    )
    return f" These folders in it do: {', '.join(inside)}. Name one." if inside else ""
