"""Examples per second of sparsify's own training step; run by sae_training.py in its Python.

    <python with eai-sparsify> bench/sparsify_steps.py D F K BATCH STEPS THREADS DEVICE

On a CPU sparsify's decoder is its eager one; the fused kernels need a GPU.
"""

from __future__ import annotations

import os
import sys
import time

import torch


def main() -> None:
    d, size, k, batch, steps, threads = (int(word) for word in sys.argv[1:7])
    device = sys.argv[7]
    if device == "cpu":
        os.environ["SPARSIFY_DISABLE_TRITON"] = "1"
    from sparsify import SparseCoder, SparseCoderConfig

    torch.set_num_threads(threads)
    sae = SparseCoder(d, SparseCoderConfig(num_latents=size, k=k), device)
    optimiser = torch.optim.Adam(sae.parameters(), lr=1e-4)
    seconds = 0.0
    for step in range(steps + 1):
        x = torch.randn(batch, d, device=device)
        synchronise(device)
        started = time.perf_counter()
        output = sae(x)
        (output.fvu + output.auxk_loss / 32).backward()
        sae.remove_gradient_parallel_to_decoder_directions()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        sae.set_decoder_norm_to_unit_norm()
        synchronise(device)
        seconds += (time.perf_counter() - started) * (step > 0)
    print(steps * batch / seconds)


def synchronise(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
