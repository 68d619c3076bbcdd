"""sparsify (EleutherAI): a folder per hook point with cfg.json and sae.safetensors."""

from __future__ import annotations

from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae.files import (
    check_tensors,
    field,
    read_json,
    read_safetensors,
    refuse_unless,
)
from vla_sae_ros.sae.kinds.saving import CONFIG_FILE, SPARSIFY_WEIGHTS
from vla_sae_ros.sae.kinds.topk import TopKSAE

_KNOWN = (
    "activation",
    "d_in",
    "expansion_factor",
    "k",
    "multi_topk",
    "normalize_decoder",
    "num_latents",
    "signed",
    "skip_connection",
    "transcode",
)
"""`multi_topk` and `normalize_decoder` are of the training only."""


def load_sae(folder: Path) -> TopKSAE:
    """Return the autoencoder in `folder`, in float32.

    sparsify takes the top k after a ReLU, this package before it: the codes are the same.
    Raises ConfigurationError for a damaged file, a transcoder, `groupmax` and signed activations.
    """
    config = read_json(folder / CONFIG_FILE)
    tensors = read_safetensors(folder / SPARSIFY_WEIGHTS)
    for key in ("transcode", "skip_connection"):
        if config.get(key) or (key == "skip_connection" and "W_skip" in tensors):
            raise ConfigurationError(
                f"{folder} is a sparsify transcoder ({key}): it predicts another tensor than the "
                "one it reads, so its features have no direction in the residual stream it reads. "
                "Use a plain sparse autoencoder."
            )
    said = {key: value for key, value in config.items() if value is not None and value is not False}
    unknown = sorted(said.keys() - set(_KNOWN))
    if unknown:
        raise ConfigurationError(
            complaint(
                f"Keys of {folder / CONFIG_FILE} that may change a code and are not known here",
                {key: config[key] for key in unknown},
                ", ".join(_KNOWN),
                "If a key changes no code, remove it from the file.",
            )
        )
    refuse_unless("activation of the sparsify SAE", config.get("activation", "topk"), ("topk",))
    refuse_unless("signed of the sparsify SAE", config.get("signed", False), (False,))
    d_in = field(config, "d_in", int, CONFIG_FILE)
    expansion = field(config, "expansion_factor", int, CONFIG_FILE, default=0)
    size = field(config, "num_latents", int, CONFIG_FILE, default=0) or d_in * expansion
    shapes = {"encoder.weight": (size, d_in), "encoder.bias": (size,), "W_dec": (size, d_in)}
    check_tensors(tensors, {**shapes, "b_dec": (d_in,)}, folder / SPARSIFY_WEIGHTS)
    return TopKSAE(
        W_enc=tensors["encoder.weight"].T,
        b_enc=tensors["encoder.bias"],
        W_dec=tensors["W_dec"],
        b_dec=tensors["b_dec"],
        k=field(config, "k", int, CONFIG_FILE),
    )
