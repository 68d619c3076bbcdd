"""Examples per second of SAE training against a dense step, SAELens and sparsify, if there.

    python bench/sae_training.py [--saelens <python with sae-lens>]
        [--sparsify <python with eai-sparsify>] [--device cuda] [--steps 3] [--rounds 2]

Every arm does whole optimiser steps on batches of 4,096 in float32, one after the other in every
round, on all cores or the GPU; the best round counts. The first step of an arm is left out. The
share of the one dense encoder product, which cannot be left out, is how near our step is to the
matmul peak. Ours also copies each batch out of its samples; the others' batches are made before.
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

from vla_sae_ros.sae.objectives.training_settings import TrainingSettings
from vla_sae_ros.sae.training.training import Trainer

SIZES = ((2048, 2048, 100), (720, 16_384, 64))
BATCH = 4096
Arm = Callable[[int, int, int, int, str], float]


def ours(d: int, size: int, k: int, steps: int, device: str) -> float:
    settings = TrainingSettings(size, k=k, batch_size=BATCH, epochs=steps + 1, normalization="none")
    samples = np.random.default_rng(0).standard_normal((BATCH, d), np.float32)
    trainer = Trainer(samples, settings, torch.device(device))
    trainer.advance()
    started = now(device)
    for _ in range(steps):
        trainer.advance()
    return steps * BATCH / (now(device) - started)


def dense(d: int, size: int, k: int, steps: int, device: str) -> float:
    """A step as one would write it: dense codes, autograd, torch's Adam."""
    decoder = torch.nn.functional.normalize(torch.randn(size, d, device=device), dim=1)
    encoder = decoder.clone().requires_grad_()
    decoder.requires_grad_()
    bias = torch.zeros(d, device=device, requires_grad=True)
    optimiser = torch.optim.Adam([encoder, decoder, bias], lr=1e-4)
    seconds = 0.0
    for step in range(steps + 1):
        x = torch.randn(BATCH, d, device=device)
        started = now(device)
        hidden = ((x - bias) @ encoder.T).relu()
        value, index = hidden.topk(k, sorted=False)
        code = torch.zeros_like(hidden).scatter(1, index, value)
        loss = (code @ decoder + bias - x).square().mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        seconds += (now(device) - started) * (step > 0)
    return steps * BATCH / seconds


def elsewhere(python: str, script: str) -> Arm:
    """Return an arm that runs a script beside this one in another Python."""

    def run(d: int, size: int, k: int, steps: int, device: str) -> float:
        words = [str(n) for n in (d, size, k, BATCH, steps, torch.get_num_threads())]
        kept = ("PATH", "HOME", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "OMP_WAIT_POLICY")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        command = [python, str(Path(__file__).with_name(script)), *words, device]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{script} in {python} failed:\n{done.stderr}")
        return float(done.stdout.split()[-1])

    return run


def encode_seconds(d: int, size: int, device: str) -> float:
    """Return the time of one dense encoder product, the part that cannot be left out."""
    x, encoder = torch.randn(BATCH, d, device=device), torch.randn(size, d, device=device)
    best = float("inf")
    for _ in range(4):
        started = now(device)
        x @ encoder.T
        best = min(best, now(device) - started)
    return best


def now(device: str) -> float:
    """Return the time [s] once the device has done what it was given."""
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--saelens", help="a Python that has sae-lens")
    parser.add_argument("--sparsify", help="a Python that has eai-sparsify")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; default %(default)s")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    arms: dict[str, Arm] = {"ours": ours, "dense torch": dense}
    if args.saelens:
        arms["SAELens"] = elsewhere(args.saelens, "saelens_steps.py")
    if args.sparsify:
        arms["sparsify"] = elsewhere(args.sparsify, "sparsify_steps.py")
    for d, size, k in SIZES:
        best = dict.fromkeys(arms, 0.0)
        for _ in range(args.rounds):
            for name, arm in arms.items():
                best[name] = max(best[name], arm(d, size, k, args.steps, args.device))
        product = encode_seconds(d, size, args.device)
        print(
            f"d {d}, F {size}, k {k}, {torch.get_num_threads()} threads; "
            f"encoder product {product:.2f} s = {product * best['ours'] / BATCH:.0%} of our step"
        )
        for name, rate in best.items():
            print(f"  {name:<12}{rate:8,.0f} examples/s   ours is {best['ours'] / rate:.2f} x")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
