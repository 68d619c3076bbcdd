"""sparsify (EleutherAI): a folder per hook point with cfg.json and sae.safetensors."""

from __future__ import annotations

import os
from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae.formats.files import (
    check_tensors,
    field,
    read_json,
    read_safetensors,
    refuse_unless,
    write_files,
)
from vla_sae_ros.sae.kinds.sparse_autoencoder import SparseAutoencoder
from vla_sae_ros.sae.kinds.topk import TopKSAE

CONFIG_FILE = "cfg.json"
WEIGHTS_FILE = "sae.safetensors"


def load_sae(folder: Path) -> TopKSAE:
    """Return the autoencoder in `folder`, in float32.

    sparsify takes the top k after a ReLU, this package before it: the codes are the same.
    Raises ConfigurationError for a damaged file, a transcoder, `groupmax` and signed activations.
    """
    config = read_json(folder / CONFIG_FILE)
    tensors = read_safetensors(folder / WEIGHTS_FILE)
    for key in ("transcode", "skip_connection"):
        if config.get(key) or (key == "skip_connection" and "W_skip" in tensors):
            raise ConfigurationError(
                f"{folder} is a sparsify transcoder ({key}): it predicts another tensor than the "
                "one it reads, so its features have no direction in the residual stream it reads. "
                "Take a plain sparse autoencoder."
            )
    refuse_unless("activation of the sparsify SAE", config.get("activation", "topk"), ("topk",))
    refuse_unless("signed of the sparsify SAE", config.get("signed", False), (False,))
    d_in = field(config, "d_in", int, CONFIG_FILE)
    expansion = field(config, "expansion_factor", int, CONFIG_FILE, default=0)
    size = field(config, "num_latents", int, CONFIG_FILE, default=0) or d_in * expansion
    shapes = {"encoder.weight": (size, d_in), "encoder.bias": (size,), "W_dec": (size, d_in)}
    check_tensors(tensors, {**shapes, "b_dec": (d_in,)}, folder / WEIGHTS_FILE)
    return TopKSAE(
        W_enc=tensors["encoder.weight"].T,
        b_enc=tensors["encoder.bias"],
        W_dec=tensors["W_dec"],
        b_dec=tensors["b_dec"],
        k=field(config, "k", int, CONFIG_FILE),
    )


def save_sae(sae: SparseAutoencoder, folder: str | os.PathLike[str]) -> None:
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
    write_files(folder / WEIGHTS_FILE, tensors, folder / CONFIG_FILE, config)
