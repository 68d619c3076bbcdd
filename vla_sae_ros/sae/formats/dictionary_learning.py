"""dictionary_learning: a folder with ae.pt and config.json, whose "trainer" names the class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae.files import (
    check_tensors,
    field,
    read_json,
    read_torch,
    refuse_unless,
    state_dict,
)
from vla_sae_ros.sae.kinds.batch_topk import BatchTopKSAE
from vla_sae_ros.sae.kinds.folding import fold_decoder_norm
from vla_sae_ros.sae.kinds.jumprelu import JumpReLUSAE
from vla_sae_ros.sae.kinds.relu import ReLUSAE
from vla_sae_ros.sae.kinds.sparse_autoencoder import SparseAutoencoder
from vla_sae_ros.sae.kinds.topk import TopKSAE

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "ae.pt"


def load_sae(folder: Path) -> SparseAutoencoder:
    """Return the autoencoder in `folder`, in float32, with the codes of `load_dictionary`.

    Raises ConfigurationError for a damaged file, one that could run code, a class other than those
    below and a BatchTopK autoencoder whose threshold was never measured.
    """
    trainer = field(read_json(folder / CONFIG_FILE), "trainer", dict, CONFIG_FILE)
    kind = trainer.get("dict_class")
    refuse_unless(f"dict_class in {CONFIG_FILE}", kind, _READERS)
    path = folder / WEIGHTS_FILE
    tensors = state_dict({"content": read_torch(path)}, "content", path)
    encoder = tensors.get("encoder.weight", tensors.get("W_enc"))
    if encoder is None or encoder.dim() != 2:
        raise ConfigurationError(
            complaint(f"tensors in {path}", sorted(tensors), "W_enc or encoder.weight among them")
        )
    rows, columns = encoder.shape
    shape = (columns, rows) if "encoder.weight" in tensors else (rows, columns)
    return _READERS[kind](tensors, shape, path, trainer)


Reader = Callable[[dict[str, Tensor], tuple[int, int], Path, dict[str, Any]], SparseAutoencoder]


def _linear(tensors: dict[str, Tensor], bias: str) -> dict[str, Any]:
    return {
        "W_enc": tensors["encoder.weight"].T,
        "b_enc": tensors["encoder.bias"],
        "W_dec": tensors["decoder.weight"].T,
        "b_dec": tensors[bias],
    }


def _linear_shapes(shape: tuple[int, int], bias: str) -> dict[str, tuple[int, ...]]:
    d_in, size = shape
    return {
        "encoder.weight": (size, d_in),
        "encoder.bias": (size,),
        "decoder.weight": (d_in, size),
        bias: (d_in,),
    }


def _plain_shapes(shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    d_in, size = shape
    return {"W_enc": (d_in, size), "b_enc": (size,), "W_dec": (size, d_in), "b_dec": (d_in,)}


def _auto_encoder(
    tensors: dict[str, Tensor], shape: tuple[int, int], path: Path, trainer: dict[str, Any]
) -> ReLUSAE:
    """Read a ReLU autoencoder; the library makes its decoder rows unit when it loads it."""
    check_tensors(tensors, _linear_shapes(shape, "bias"), path)
    weights = _linear(tensors, "bias")
    fold_decoder_norm(weights)
    return ReLUSAE(**weights)


def _auto_encoder_new(
    tensors: dict[str, Tensor], shape: tuple[int, int], path: Path, trainer: dict[str, Any]
) -> ReLUSAE:
    check_tensors(tensors, _linear_shapes(shape, "decoder.bias"), path)
    return ReLUSAE(**_linear(tensors, "decoder.bias"), apply_b_dec_to_input=False)


def _top_k(
    tensors: dict[str, Tensor], shape: tuple[int, int], path: Path, trainer: dict[str, Any]
) -> TopKSAE:
    """Read a TopK autoencoder; older ones have no `threshold`, and none use it to encode."""
    tensors.pop("threshold", None)
    check_tensors(tensors, {**_linear_shapes(shape, "b_dec"), "k": ()}, path, ("k",))
    return TopKSAE(**_linear(tensors, "b_dec"), k=_active(tensors, trainer, path))


def _batch_top_k(
    tensors: dict[str, Tensor], shape: tuple[int, int], path: Path, trainer: dict[str, Any]
) -> BatchTopKSAE:
    shapes = {**_linear_shapes(shape, "b_dec"), "k": (), "threshold": ()}
    check_tensors(tensors, shapes, path, ("k",))
    _active(tensors, trainer, path)
    return BatchTopKSAE(**_linear(tensors, "b_dec"), threshold=float(tensors["threshold"]))


def _matryoshka(
    tensors: dict[str, Tensor], shape: tuple[int, int], path: Path, trainer: dict[str, Any]
) -> BatchTopKSAE:
    """Read a Matryoshka BatchTopK autoencoder; its groups matter in training only."""
    tensors.pop("group_sizes", None)
    shapes = {**_plain_shapes(shape), "k": (), "threshold": ()}
    check_tensors(tensors, shapes, path, ("k",))
    _active(tensors, trainer, path)
    weights: dict[str, Any] = {name: tensors[name] for name in _plain_shapes(shape)}
    return BatchTopKSAE(**weights, threshold=float(tensors["threshold"]))


def _jump_relu(
    tensors: dict[str, Tensor], shape: tuple[int, int], path: Path, trainer: dict[str, Any]
) -> JumpReLUSAE:
    check_tensors(tensors, {**_plain_shapes(shape), "threshold": shape[1:]}, path)
    weights: dict[str, Any] = {**tensors}
    return JumpReLUSAE(**weights, apply_b_dec_to_input=False)


def _active(tensors: dict[str, Tensor], trainer: dict[str, Any], path: Path) -> int:
    stored, said = tensors["k"].item(), trainer.get("k")
    if stored != said or stored != int(stored):
        raise ConfigurationError(
            complaint(f"k in {CONFIG_FILE}", said, f"{stored}, as {path} says, a whole number")
        )
    return int(stored)


_READERS: dict[str, Reader] = {
    "AutoEncoder": _auto_encoder,
    "AutoEncoderNew": _auto_encoder_new,
    "AutoEncoderTopK": _top_k,
    "BatchTopKSAE": _batch_top_k,
    "MatryoshkaBatchTopKSAE": _matryoshka,
    "JumpReluAutoEncoder": _jump_relu,
}
