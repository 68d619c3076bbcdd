"""What every reader does with a file: open it, check it, and say what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.json_document import parse_json
from vla_sae_ros.core.whole_file import write_whole

FLOATS = ("float32", "float16", "bfloat16", "float64")
Shapes = dict[str, tuple[int, ...]]


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`. Raises ConfigurationError naming the file."""
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"Cannot read the SAE configuration {path}: {error.strerror}. Copy the SAE again."
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"{path} is not JSON: {error}. Copy the SAE again.") from error
    if not isinstance(content, dict):
        raise ConfigurationError(complaint(f"content of {path}", content, "a JSON object"))
    return content


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors in `path`. Raises ConfigurationError naming the file."""
    try:
        return load_file(path)
    except OSError as error:
        raise ConfigurationError(f"Cannot read the SAE weights {path}: {error}.") from error
    except SafetensorError as error:
        raise ConfigurationError(
            f"{path} is truncated or not a safetensors file ({error}). Copy the SAE again."
        ) from error


def write_files(
    weights_path: Path, weights: dict[str, Tensor], config_path: Path, config: dict[str, Any]
) -> None:
    """Write both files of an SAE, each replaced whole; their folder is made if missing."""
    weights_path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(weights_path, save(weights))
    write_whole(config_path, (json.dumps(config, indent=1) + "\n").encode())


def read_torch(path: Path) -> dict[str, Any]:
    """Return the dictionary in a .pt file; nothing in it is ever executed.

    Raises ConfigurationError naming the file, also where it holds anything but tensors and plain
    values: such a file could run any command when it is loaded.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ConfigurationError(f"Cannot read the SAE weights {path}: {error}.") from error
    except Exception as error:  # torch raises anything from EOFError to UnpicklingError
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigurationError(
            f"{path} was not loaded: it is truncated, or contains something other than tensors and "
            f"plain values, which could run code when loaded ({first}). Copy the SAE again, or "
            "save its state_dict alone with torch.save."
        ) from error
    if not isinstance(content, dict):
        raise ConfigurationError(
            complaint(f"content of {path}", type(content).__name__, "a dictionary")
        )
    return content


def field(config: dict[str, Any], key: str, kind: type, where: object, default: Any = None) -> Any:
    """Return config[key], `default` where it is missing or null.

    Raises ConfigurationError when it is not of exactly this type.
    """
    value = config.get(key)
    if value is None:  # JSON's null says no more than a key that is not there
        value = default
    if type(value) is not kind:
        raise ConfigurationError(complaint(f"{key} in {where}", value, f"of type {kind.__name__}"))
    return value


def refuse_unless(what: str, got: object, allowed: Iterable[object], next_step: str = "") -> None:
    """Raise ConfigurationError when `got` is none of `allowed`."""
    allowed = tuple(allowed)
    if got not in allowed:
        raise ConfigurationError(complaint(what, got, allowed, next_step))


def check_tensors(
    tensors: dict[str, Any], shapes: Shapes, where: object, whole: Collection[str] = ()
) -> None:
    """Raise ConfigurationError unless `tensors` are exactly those named, of these shapes.

    They are plain floating-point numbers; those in `whole` may be whole numbers.
    """
    if set(tensors) != set(shapes):
        raise ConfigurationError(
            complaint(f"tensors in {where}", sorted(tensors), f"exactly {sorted(shapes)}")
        )
    for name, shape in shapes.items():
        got = tuple(tensors[name].shape) if isinstance(tensors[name], Tensor) else tensors[name]
        if got != shape:
            raise ConfigurationError(
                complaint(f"shape of {name} in {where}", got, f"{shape}, as its configuration says")
            )
        _check_kind(tensors[name], name, where, name in whole)


def _check_kind(tensor: Tensor, name: str, where: object, may_be_whole: bool) -> None:
    """Refuse numbers that a conversion to float32 would not keep: quantised, complex, sparse."""
    kind = str(tensor.dtype).removeprefix("torch.")
    fine = kind in FLOATS or (may_be_whole and kind in ("int32", "int64"))
    if not fine or tensor.layout is not torch.strided or tensor.is_meta:
        stored = f"{kind}, {str(tensor.layout).removeprefix('torch.')} on {tensor.device.type}"
        allowed = f"dense {', '.join(FLOATS)}"
        raise ConfigurationError(
            complaint(f"numbers of {name} in {where}", stored, allowed, "Save it as one of these.")
        )


def state_dict(content: dict[str, Any], key: str, where: object) -> dict[str, Tensor]:
    """Return content[key], a mapping of names to tensors, or raise ConfigurationError."""
    value = content.get(key)
    if not isinstance(value, Mapping) or not all(isinstance(one, Tensor) for one in value.values()):
        raise ConfigurationError(
            complaint(f"{key} in {where}", type(value).__name__, "a mapping of names to tensors")
        )
    return dict(value)
