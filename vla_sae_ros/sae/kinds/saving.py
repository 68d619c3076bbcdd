"""Writing an autoencoder's files as other libraries read them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, Protocol

from torch import Tensor

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae.files import refuse_unless, write_files

CONFIG_FILE = "cfg.json"
SAELENS_WEIGHTS = "sae_weights.safetensors"
SPARSIFY_WEIGHTS = "sae.safetensors"
SAELENS_VERSION = "6.0.0"
"""The first whose readers expect this layout; SAELens rewrites configurations without it."""
LISTED = "listed_features"
"""Key of cfg.json, ours: how many features an inference lists of a kind without k."""


class Stored(Protocol):
    """What of an autoencoder is written."""

    architecture: ClassVar[str]
    k: int
    normalization: Any
    apply_b_dec_to_input: bool

    @property
    def d_in(self) -> int: ...

    @property
    def dictionary_size(self) -> int: ...

    def stored_weights(self) -> dict[str, Tensor]: ...


def write_saelens(sae: Stored, folder: str | os.PathLike[str]) -> None:
    """Write `sae` into `folder`, which is made if missing. Both files are replaced whole.

    The normalisation `l2` is one that SAELens does not know: it refuses such a folder by name.
    """
    folder = Path(folder)
    config = {
        "architecture": sae.architecture,
        "d_in": sae.d_in,
        "d_sae": sae.dictionary_size,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": sae.apply_b_dec_to_input,
        "normalize_activations": sae.normalization,
        "reshape_activations": "none",
        "metadata": {"sae_lens_version": SAELENS_VERSION},
    }
    if sae.architecture == "topk":
        config |= {"k": sae.k, "rescale_acts_by_decoder_norm": False}
    else:
        config[LISTED] = sae.k
    write_files(folder / SAELENS_WEIGHTS, sae.stored_weights(), folder / CONFIG_FILE, config)


def write_sparsify(sae: Stored, folder: str | os.PathLike[str]) -> None:
    """Write `sae` into `folder`, which is made if missing, as sparsify reads it.

    Raises ConfigurationError for what sparsify does not do: kinds other than TopK, a normalisation
    of each sample, and an encoder that does not subtract b_dec.
    """
    folder, next_step = Path(folder), "Save it as SAELens does."
    refuse_unless("architecture of an SAE for sparsify", sae.architecture, ("topk",), next_step)
    refuse_unless("normalisation of an SAE for sparsify", sae.normalization, ("none",), next_step)
    if not sae.apply_b_dec_to_input:
        what = "apply_b_dec_to_input of an SAE for sparsify"
        raise ConfigurationError(complaint(what, False, True, next_step))
    weights = sae.stored_weights()
    tensors = {
        "encoder.weight": weights["W_enc"].T.contiguous(),
        "encoder.bias": weights["b_enc"],
        "W_dec": weights["W_dec"],
        "b_dec": weights["b_dec"],
    }
    config = {
        "activation": "topk",
        "num_latents": sae.dictionary_size,
        "k": sae.k,
        "d_in": sae.d_in,
        "transcode": False,
        "skip_connection": False,
    }
    write_files(folder / SPARSIFY_WEIGHTS, tensors, folder / CONFIG_FILE, config)
