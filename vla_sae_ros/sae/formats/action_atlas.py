"""Action Atlas: a folder per layer with sae_best.pt; TopK without a ReLU, on standardised inputs.

Its codes can be negative, in samples with fewer than k positive pre-activations. Everything here
reads a code of 0 as silent and a larger one as more active, from the observed maximum to the
generality metric and the sliders, so such an SAE is refused unless one agrees to read its negative
codes as 0. What that changes shows in the L0 that `vla-sae convert --activations` measures: it
stays k as long as no code was negative.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae.files import check_tensors, field, read_torch, state_dict
from vla_sae_ros.sae.kinds.folding import fold_standardisation
from vla_sae_ros.sae.kinds.topk import TopKSAE

WEIGHTS_FILES = ("sae_best.pt", "sae_final.pt")
_MOMENTS = ("activation_mean", "activation_std")
_EPSILON = 1e-8  # added to the deviation when Action Atlas applies an SAE


def refuse_negative_codes(folder: Path) -> TopKSAE:
    """Raise ConfigurationError: the codes in `folder` can be negative, and what to do about it."""
    raise ConfigurationError(
        f"{_weights_file(folder)} is an Action Atlas SAE: TopK without a ReLU. Its codes can be "
        "negative, but here a code of 0 means inactive. Use --drop-negative-codes "
        "(drop_negative_codes=True) to read negative codes as 0; all other codes stay the same."
    )


def load_sae(folder: Path) -> TopKSAE:
    """Return the autoencoder in `folder`, in float32, its negative codes read as 0.

    The mean and deviation of its data are folded into the weights. Raises ConfigurationError for a
    damaged file and one that could run code.
    """
    path = _weights_file(folder)
    content = read_torch(path)
    missing = [key for key in _MOMENTS if not isinstance(content.get(key), Tensor)]
    if missing:
        raise ConfigurationError(
            f"{path} is an Action Atlas SAE without {' and '.join(missing)}: its inputs cannot be "
            "standardised as in its training. Take the file that its training wrote."
        )
    config = field(content, "config", dict, path)
    tensors = state_dict(content, "sae_state_dict", path)
    d_in, size = (field(config, key, int, path) for key in ("input_dim", "hidden_dim"))
    shapes = {
        "encoder.weight": (size, d_in),
        "encoder.bias": (size,),
        "decoder.weight": (d_in, size),
        "decoder.bias": (d_in,),
    }
    check_tensors(tensors, shapes, path)
    moments = {key: content[key] for key in _MOMENTS}
    check_tensors(moments, {key: (d_in,) for key in moments}, path)
    mean, deviation = (one.to(torch.float64) for one in moments.values())
    if not bool(((deviation >= 0) & torch.isfinite(deviation)).all()):
        lowest, highest = float(deviation.min()), float(deviation.max())
        raise ConfigurationError(
            complaint(f"activation_std in {path}", f"{lowest} to {highest}", "finite, from 0 on")
        )
    weights: dict[str, Any] = {
        "W_enc": tensors["encoder.weight"].T,
        "b_enc": tensors["encoder.bias"],
        "W_dec": tensors["decoder.weight"].T,
        "b_dec": tensors["decoder.bias"],
    }
    fold_standardisation(weights, mean, deviation + _EPSILON)
    k = field(config, "k", int, path)
    return TopKSAE(**weights, k=k)


def _weights_file(folder: Path) -> Path:
    found = [folder / name for name in WEIGHTS_FILES if (folder / name).is_file()]
    if len(found) > 1:
        raise ConfigurationError(
            f"{folder} contains {' and '.join(one.name for one in found)}, which are different "
            "SAEs (Action Atlas itself loads sae_final.pt). Keep only the one that you mean."
        )
    return found[0]
