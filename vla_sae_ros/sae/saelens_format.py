"""Reading and writing TopK autoencoders as SAELens >= 6 folders: cfg.json, sae_weights.safetensors.

Everything the file asks for is either done exactly or refused by name; nothing is ignored that
would change a code.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae.topk import NORMALIZATIONS, TopKSAE

CONFIG_FILE = "cfg.json"
WEIGHTS_FILE = "sae_weights.safetensors"

# The first version whose readers expect this layout; SAELens rewrites configurations without it.
_FORMAT_VERSION = "6.0.0"
_TENSORS = ("W_enc", "b_enc", "W_dec", "b_dec")
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def load_sae(folder: str | os.PathLike[str], device: str | torch.device = "cpu") -> TopKSAE:
    """Return the autoencoder stored in `folder`, in float32 on `device`.

    Raises ConfigurationError for a missing or damaged file, an architecture other than `topk`, a
    normalisation or reshaping this package does not do, and weights whose names, shapes or dtype
    differ from cfg.json or that are not finite.
    """
    folder = Path(folder)
    config = _read_config(folder / CONFIG_FILE)
    weights = _read_weights(folder / WEIGHTS_FILE, config)
    if _field(config, "rescale_acts_by_decoder_norm", bool, default=False):
        _fold_decoder_norm(weights)
    sae = TopKSAE(
        **weights,
        k=_field(config, "k", int),
        normalization=config.get("normalize_activations", "none"),
        apply_b_dec_to_input=_field(config, "apply_b_dec_to_input", bool, default=True),
    )
    return sae.to(device)


def save_sae(sae: TopKSAE, folder: Any) -> None:
    """Write `sae` into `folder`, which is made if missing. Both files are replaced whole."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architecture": "topk",
        "d_in": sae.d_in,
        "d_sae": sae.dictionary_size,
        "k": sae.k,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": sae.apply_b_dec_to_input,
        "normalize_activations": sae.normalization,
        "reshape_activations": "none",
        "rescale_acts_by_decoder_norm": False,
        "metadata": {"sae_lens_version": _FORMAT_VERSION},
    }
    weights = {name: getattr(sae, name).detach().cpu().contiguous() for name in _TENSORS}
    part = folder / (WEIGHTS_FILE + ".part")
    save_file(weights, part)
    part.replace(folder / WEIGHTS_FILE)
    part = folder / (CONFIG_FILE + ".part")
    part.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    part.replace(folder / CONFIG_FILE)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"Cannot read the SAE configuration {path}: {error.strerror}. "
            f"An SAE folder holds {CONFIG_FILE} and {WEIGHTS_FILE}."
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"{path} is not JSON: {error}. Copy the SAE again.") from error
    if not isinstance(config, dict):
        raise ConfigurationError(complaint(f"content of {path}", config, "a JSON object"))
    _refuse(config, "architecture", ("topk",), "Convert or train a TopK SAE.")
    _refuse(config, "reshape_activations", ("none",), default="none")
    _refuse(
        config,
        "normalize_activations",
        NORMALIZATIONS,
        "Fold a data-set-wide scaling into the weights with SAELens first.",
        default="none",
    )
    return config


def _refuse(
    config: dict[str, Any],
    key: str,
    allowed: tuple[str, ...],
    next_step: str = "",
    default: str | None = None,
) -> None:
    value = config.get(key, default)
    if value not in allowed:
        raise ConfigurationError(complaint(f"{key} of the SAE", value, allowed, next_step))


def _field(config: dict[str, Any], key: str, kind: type, default: Any = None) -> Any:
    value = config.get(key, default)
    if type(value) is not kind:
        raise ConfigurationError(complaint(f"{key} in {CONFIG_FILE}", value, kind.__name__))
    return value


def _read_weights(path: Path, config: dict[str, Any]) -> dict[str, Tensor]:
    try:
        weights = load_file(path)
    except OSError as error:
        raise ConfigurationError(f"Cannot read the SAE weights {path}: {error}.") from error
    except SafetensorError as error:
        raise ConfigurationError(
            f"{path} is truncated or not a safetensors file ({error}). Copy the SAE again."
        ) from error
    if set(weights) != set(_TENSORS):
        raise ConfigurationError(
            complaint(f"tensors in {path}", sorted(weights), f"exactly {sorted(_TENSORS)}")
        )
    _check_against_config(weights, config, path)
    return {name: weight.to(torch.float32) for name, weight in weights.items()}


def _check_against_config(weights: dict[str, Tensor], config: dict[str, Any], path: Path) -> None:
    d_in, size = _field(config, "d_in", int), _field(config, "d_sae", int)
    declared = _field(config, "dtype", str, default="float32").removeprefix("torch.")
    if declared not in _DTYPES:
        raise ConfigurationError(complaint(f"dtype in {CONFIG_FILE}", declared, tuple(_DTYPES)))
    shapes = {"W_enc": (d_in, size), "b_enc": (size,), "W_dec": (size, d_in), "b_dec": (d_in,)}
    for name, shape in shapes.items():
        weight = weights[name]
        if tuple(weight.shape) != shape:
            raise ConfigurationError(
                complaint(
                    f"shape of {name} in {path}",
                    tuple(weight.shape),
                    f"{shape}, as {CONFIG_FILE} says",
                )
            )
        if weight.dtype != _DTYPES[declared]:
            raise ConfigurationError(
                complaint(
                    f"dtype of {name} in {path}",
                    str(weight.dtype).removeprefix("torch."),
                    f"{declared}, as {CONFIG_FILE} says",
                )
            )


def _fold_decoder_norm(weights: dict[str, Tensor]) -> None:
    """Make decoder rows unit, so that codes are those of `rescale_acts_by_decoder_norm`."""
    norm = weights["W_dec"].norm(dim=-1).clamp(min=1e-8)
    weights["W_dec"] = weights["W_dec"] / norm.unsqueeze(1)
    weights["W_enc"] = weights["W_enc"] * norm
    weights["b_enc"] = weights["b_enc"] * norm
