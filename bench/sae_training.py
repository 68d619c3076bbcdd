"""Examples per second of SAE training against a dense step and, where it is there, SAELens.

    python bench/sae_training.py [--saelens <python with sae-lens>] [--steps 3] [--rounds 2]

Every arm does whole optimiser steps on batches of 4,096 in float32, one after the other in every
round, on all cores; the best round counts. The first step of an arm is left out. The share of the
one dense encoder product, which cannot be left out, is how near our step is to the matmul peak.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from vla_sae_ros.sae.training import Trainer
from vla_sae_ros.sae.training_settings import TrainingSettings

SIZES = ((2048, 2048, 100), (720, 16_384, 64))
BATCH = 4096


def ours(d: int, size: int, k: int, steps: int) -> float:
    settings = TrainingSettings(size, k=k, batch_size=BATCH, epochs=steps + 1, normalization="none")
    samples = np.random.default_rng(0).standard_normal((BATCH, d), np.float32)
    trainer = Trainer(samples, settings, torch.device("cpu"))
    trainer.advance()
    started = time.perf_counter()
    for _ in range(steps):
        trainer.advance()
    return steps * BATCH / (time.perf_counter() - started)


def dense(d: int, size: int, k: int, steps: int) -> float:
    """A step as one would write it: dense codes, autograd, torch's Adam."""
    decoder = torch.nn.functional.normalize(torch.randn(size, d), dim=1).requires_grad_()
    encoder = decoder.detach().clone().requires_grad_()
    bias = torch.zeros(d, requires_grad=True)
    optimiser = torch.optim.Adam([encoder, decoder, bias], lr=1e-4)
    seconds = 0.0
    for step in range(steps + 1):
        x = torch.randn(BATCH, d)
        started = time.perf_counter()
        hidden = ((x - bias) @ encoder.T).relu()
        value, index = hidden.topk(k, sorted=False)
        code = torch.zeros_like(hidden).scatter(1, index, value)
        loss = (code @ decoder + bias - x).square().mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        seconds += (time.perf_counter() - started) * (step > 0)
    return steps * BATCH / seconds


def saelens(python: str) -> Callable[[int, int, int, int], float]:
    script = str(Path(__file__).with_name("saelens_steps.py"))

    def run(d: int, size: int, k: int, steps: int) -> float:
        words = [str(n) for n in (d, size, k, BATCH, steps, torch.get_num_threads())]
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        command = [python, script, *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1])

    return run


def encode_seconds(d: int, size: int) -> float:
    """Return the time of one dense encoder product, the part that cannot be left out."""
    x, encoder = torch.randn(BATCH, d), torch.randn(size, d)
    best = float("inf")
    for _ in range(4):
        started = time.perf_counter()
        x @ encoder.T
        best = min(best, time.perf_counter() - started)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--saelens", help="a Python that has sae-lens")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    arms: dict[str, Callable[[int, int, int, int], float]] = {"ours": ours, "dense torch": dense}
    if args.saelens:
        arms["SAELens"] = saelens(args.saelens)
    for d, size, k in SIZES:
        best = dict.fromkeys(arms, 0.0)
        for _ in range(args.rounds):
            for name, arm in arms.items():
                best[name] = max(best[name], arm(d, size, k, args.steps))
        product = encode_seconds(d, size)
        print(f"d {d}, F {size}, k {k}, {torch.get_num_threads()} threads; "
              f"encoder product {product:.2f} s = {product * best['ours'] / BATCH:.0%} of our step")
        for name, rate in best.items():
            print(f"  {name:<12}{rate:8,.0f} examples/s   ours is {best['ours'] / rate:.2f} x")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
