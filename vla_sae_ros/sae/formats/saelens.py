"""SAELens: a folder with cfg.json and sae_weights.safetensors, as sae.kinds.saving writes it.

Everything the files ask for is either done exactly or refused by name; nothing is ignored that
would change a code.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae.devices import usable_device
from vla_sae_ros.sae.files import (
    FLOATS,
    check_tensors,
    field,
    read_json,
    read_safetensors,
    refuse_unless,
)
from vla_sae_ros.sae.formats.saelens_config import (
    check_keys,
    settle_activation,
    without_nulls,
)
from vla_sae_ros.sae.kinds.directions import Directions
from vla_sae_ros.sae.kinds.folding import fold_decoder_norm, fold_scaling
from vla_sae_ros.sae.kinds.jumprelu import JumpReLUSAE
from vla_sae_ros.sae.kinds.normalization import NORMALIZATIONS
from vla_sae_ros.sae.kinds.relu import ReLUSAE
from vla_sae_ros.sae.kinds.saving import CONFIG_FILE, LISTED, SAELENS_WEIGHTS
from vla_sae_ros.sae.kinds.sparse_autoencoder import LISTED_FEATURES, SparseAutoencoder
from vla_sae_ros.sae.kinds.topk import TopKSAE

SCALER_FILE = "activation_scaler.json"

_AVERAGE_NORM = "expected_average_only_in"
_ONE_THRESHOLD = ("batchtopk", "matryoshka_batchtopk")  # as SAELens' training writes them
_THRESHOLD = {"jumprelu": "threshold", **dict.fromkeys(_ONE_THRESHOLD, "topk_threshold")}
_ARCHITECTURES = ("topk", "standard", "jumprelu", *_ONE_THRESHOLD, "directions")


def load_sae(
    folder: str | os.PathLike[str], device: str | torch.device = "cpu"
) -> SparseAutoencoder:
    """Return the autoencoder stored in `folder`, in float32 on `device`.

    Raises ConfigurationError for a missing or damaged file, an architecture, normalisation or
    reshaping this package does not do, and weights whose names, shapes or dtype differ from
    cfg.json or that are not finite.
    """
    folder = Path(folder)
    config = without_nulls(read_json(folder / CONFIG_FILE))
    settle_activation(config)
    _check_config(config)
    weights = _read_weights(folder / SAELENS_WEIGHTS, config)
    if field(config, "rescale_acts_by_decoder_norm", bool, CONFIG_FILE, default=False):
        fold_decoder_norm(weights)
    if config.get("normalize_activations") == _AVERAGE_NORM:
        fold_scaling(weights, _scaling_factor(folder))
        config["normalize_activations"] = "none"
    return _build(config, weights).to(usable_device(device))


def _check_config(config: dict[str, Any]) -> None:
    next_step = "Convert or train an SAE of one of these kinds."
    refuse_unless("architecture of the SAE", config.get("architecture"), _ARCHITECTURES, next_step)
    reshaping = config.get("reshape_activations", "none")
    refuse_unless("reshape_activations of the SAE", reshaping, ("none",))
    refuse_unless(
        "normalize_activations of the SAE",
        config.get("normalize_activations", "none"),
        (*NORMALIZATIONS, _AVERAGE_NORM),
        "Fold a data-set-wide scaling or whitening into the weights with SAELens first.",
    )
    check_keys(config)


def _build(config: dict[str, Any], weights: dict[str, Tensor]) -> SparseAutoencoder:
    architecture = config["architecture"]
    listed = min(LISTED_FEATURES, weights["W_enc"].shape[1])
    options: dict[str, Any] = {
        **weights,
        "normalization": config.get("normalize_activations", "none"),
        "apply_b_dec_to_input": field(
            config, "apply_b_dec_to_input", bool, CONFIG_FILE, default=True
        ),
        "k": field(config, LISTED, int, CONFIG_FILE, default=listed),
    }
    if architecture == "topk":
        return TopKSAE(**{**options, "k": field(config, "k", int, CONFIG_FILE)})
    if architecture == "standard":
        return ReLUSAE(**options)
    if architecture == "directions":
        return Directions(**{**options, "k": weights["W_enc"].shape[1]})
    threshold = options.pop(_THRESHOLD[architecture])
    return JumpReLUSAE(threshold=threshold.expand(weights["b_enc"].shape), **options)


def _scaling_factor(folder: Path) -> float:
    path = folder / SCALER_FILE
    if not path.is_file():
        raise ConfigurationError(
            f"{folder} needs its inputs scaled by a factor from the training data "
            f"(normalize_activations {_AVERAGE_NORM!r}), but {SCALER_FILE} with this factor is "
            "missing. Copy it from the training's checkpoint, or call SAELens' "
            "fold_activation_norm_scaling_factor(factor) and save the SAE again."
        )
    factor: Any = read_json(path).get("scaling_factor")
    is_number = isinstance(factor, int | float) and not isinstance(factor, bool)
    if not is_number or not 0 < factor < float("inf"):
        raise ConfigurationError(complaint(f"scaling_factor in {path}", factor, "a number above 0"))
    return float(factor)


def _read_weights(path: Path, config: dict[str, Any]) -> dict[str, Tensor]:
    weights = read_safetensors(path)
    d_in = field(config, "d_in", int, CONFIG_FILE)
    size = field(config, "d_sae", int, CONFIG_FILE)
    declared = field(config, "dtype", str, CONFIG_FILE, default="float32").removeprefix("torch.")
    refuse_unless(f"dtype in {CONFIG_FILE}", declared, FLOATS)
    shapes = {"W_enc": (d_in, size), "b_enc": (size,), "W_dec": (size, d_in), "b_dec": (d_in,)}
    if config["architecture"] == "jumprelu":
        shapes["threshold"] = (size,)
    if config["architecture"] in _ONE_THRESHOLD:
        shapes["topk_threshold"] = ()
    if "pre_bias" in weights:
        shapes["pre_bias"] = (d_in,)
    check_tensors(weights, shapes, path)
    for name, weight in weights.items():
        got = str(weight.dtype).removeprefix("torch.")
        kept = ("float32", "float64") if name in _THRESHOLD.values() else ()
        if got not in (declared, *kept):
            raise ConfigurationError(
                complaint(f"dtype of {name} in {path}", got, f"{declared}, as {CONFIG_FILE} says")
            )
    return {name: weight.to(torch.float32) for name, weight in weights.items()}
