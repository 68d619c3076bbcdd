"""Dr.VLA (arXiv 2603.19183): a folder per layer with sae.pt, of format drvla-sae-v1."""

from __future__ import annotations

from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae.files import (
    check_tensors,
    field,
    read_torch,
    state_dict,
)
from vla_sae_ros.sae.kinds.topk import TopKSAE

WEIGHTS_FILE = "sae.pt"
_FORMAT = "drvla-sae-v1"
_COUNTER = "steps_since_activation"  # of the training; no code depends on it


def load_sae(folder: Path) -> TopKSAE:
    """Return the autoencoder in `folder`, in float32, with the normalisation `l2`.

    Raises ConfigurationError for a damaged file, one that could run code and another format.
    """
    path = folder / WEIGHTS_FILE
    content = read_torch(path)
    if content.get("format") != _FORMAT:
        raise ConfigurationError(
            complaint(
                f"format of {path} (only Dr.VLA is known to use this file name)",
                content.get("format", f"a file with {', '.join(sorted(map(str, content))[:8])}"),
                _FORMAT,
                "If another library wrote it, save it as SAELens does.",
            )
        )
    config = field(content, "config", dict, path)
    tensors = state_dict(content, "state_dict", path)
    tensors.pop(_COUNTER, None)
    d_in, size = (field(config, key, int, path) for key in ("input_dim", "num_features"))
    shapes = {"pre_bias": (d_in,), "encoder.weight": (size, d_in), "decoder.weight": (d_in, size)}
    check_tensors(tensors, shapes, path)
    bias = tensors["pre_bias"]
    return TopKSAE(
        W_enc=tensors["encoder.weight"].T,
        b_enc=bias.new_zeros(size),
        W_dec=tensors["decoder.weight"].T,
        b_dec=bias.new_zeros(d_in),
        k=field(config, "k", int, path),
        normalization="l2",
        pre_bias=bias,
    )
