"""The processes that train one autoencoder together: one, or those that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor

from vla_sae_ros.sae.devices import usable_device

_PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True)
class Processes:
    """This process among those that share the work. rank: from 0. count: how many."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Say whether this process is the one that writes files and prints."""
        return self.rank == 0

    def total(self, tensor: Tensor) -> Tensor:
        """Return the tensor summed over all processes, in place; every process must call it."""
        if self.count > 1:
            torch.distributed.all_reduce(tensor)
        return tensor


@contextmanager
def joined_processes(device: torch.device) -> Iterator[Processes]:
    """Join the processes that torchrun started (RANK, WORLD_SIZE); without it, be the only one."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Processes(torch.distributed.get_rank(), torch.distributed.get_world_size())
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()


def own_device(device: str) -> torch.device:
    """Return the device of this process: "cuda" becomes the GPU of its local rank.

    Raises ConfigurationError for a device that is not there.
    """
    if device == "cuda" and "LOCAL_RANK" in os.environ:
        return usable_device(f"cuda:{os.environ['LOCAL_RANK']}")
    return usable_device(device)
