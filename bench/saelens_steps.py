"""Examples per second of SAELens' own training step; run by sae_training.py in SAELens' Python.

<python with sae-lens> bench/saelens_steps.py D F K BATCH STEPS THREADS DEVICE
"""

from __future__ import annotations

import sys
import time

import torch
from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.saes.sae import TrainStepInput


def main() -> None:
    d, size, k, batch, steps, threads = (int(word) for word in sys.argv[1:7])
    device = sys.argv[7]
    torch.set_num_threads(threads)
    sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=d, d_sae=size, k=k, device=device))
    optimiser = torch.optim.Adam(sae.parameters(), lr=1e-4)
    dead = torch.zeros(size, dtype=torch.bool, device=device)
    seconds = 0.0
    for step in range(steps + 1):
        x = torch.randn(batch, d, device=device)
        synchronise(device)
        started = time.perf_counter()
        output = sae.training_forward_pass(TrainStepInput(x, {}, dead, step, False))
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        synchronise(device)
        seconds += (time.perf_counter() - started) * (step > 0)
    print(steps * batch / seconds)


def synchronise(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
