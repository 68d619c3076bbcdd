"""Building a policy from its weights without random ones first, and without two copies of them."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vla_sae_ros.policy.checkpoints.replaced import replaced

RANDOM = (
    "uniform_",
    "normal_",
    "trunc_normal_",
    "xavier_uniform_",
    "xavier_normal_",
    "kaiming_uniform_",
    "kaiming_normal_",
    "orthogonal_",
)
"""Functions of torch.nn.init that draw numbers: minutes for billions of weights."""
MAPS = Path("/proc/self/maps")
MADV_DONTNEED = 4


@contextmanager
def without_random_weights() -> Iterator[None]:
    """Leave weights uninitialised where a module would draw them, in the context.

    For models whose every weight is then loaded. What is not written to takes no memory, either.
    """
    from transformers import initialization  # not in OpenVLA's environment

    left = dict.fromkeys(RANDOM, _as_it_is)
    known = initialization.TORCH_INIT_FUNCTIONS
    kept = {name: known[name] for name in RANDOM if name in known}
    known.update(dict.fromkeys(kept, _as_it_is))
    try:
        with replaced(torch.nn.init, left):
            yield
    finally:
        known.update(kept)


@contextmanager
def mapped_weights_let_go() -> Iterator[None]:
    """Give a mapped file's pages back to the system once a module has copied them, in the context.

    safetensors maps the file of weights. Every page that was read counts as the process's memory
    until the whole policy is loaded: a second copy.
    """
    load = nn.Module._load_from_state_dict

    def load_and_let_go(
        self: nn.Module, state_dict: dict[str, Any], prefix: str, *others: Any
    ) -> None:
        load(self, state_dict, prefix, *others)
        for name in self._parameters:
            value = state_dict.get(prefix + name)
            if isinstance(value, Tensor):
                let_go(value)

    with replaced(nn.Module, {"_load_from_state_dict": load_and_let_go}):
        yield


def let_go(tensor: Tensor) -> None:
    """Give the whole pages of a tensor back where it lies in a mapped file; it can be read again.

    Memory that is no file's stays as it is.
    """
    if tensor.device.type != "cpu" or not tensor.is_contiguous():
        return
    storage = tensor.untyped_storage()
    if not _is_of_a_file(storage.data_ptr()):
        return
    page = mmap.PAGESIZE
    start = -(-tensor.data_ptr() // page) * page
    stop = (tensor.data_ptr() + tensor.nbytes) // page * page
    if stop > start:
        # Advice: where the system does not take it, the pages stay.
        ctypes.CDLL(None).madvise(
            ctypes.c_void_p(start), ctypes.c_size_t(stop - start), MADV_DONTNEED
        )


def _is_of_a_file(address: int) -> bool:
    """Return whether an address lies in a file that this process has mapped; Linux tells."""
    if not MAPS.exists():
        return False
    for line in MAPS.read_text().splitlines():
        span, _rights, _offset, _device, inode, *_path = line.split(maxsplit=5)
        start, stop = (int(end, 16) for end in span.split("-"))
        if start <= address < stop:
            return inode != "0"
    return False


def _as_it_is(tensor: Tensor, *_settings: Any, **_more: Any) -> Tensor:
    return tensor
