"""Latency of an exported policy on ONNX Runtime over PyTorch, plain, tapped and with 16 edits.

    vla-sae export models/demo/policy --bundles models/demo/sae/*
    vla-sae export models/demo/policy --output /tmp/plain
    python bench/onnx_latency.py --plain-export /tmp/plain

Arms take turns in random order within each round; the ratio is the median over the rounds.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from functools import partial
from pathlib import Path

from vla_sae_ros.environment import prepare

prepare()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from tqdm import trange  # noqa: E402

from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot  # noqa: E402
from vla_sae_ros.policy.engine import PolicyEngine  # noqa: E402
from vla_sae_ros.policy.loading import load_policy  # noqa: E402
from vla_sae_ros.policy.onnx.engine import OnnxEngine  # noqa: E402
from vla_sae_ros.resources import resource  # noqa: E402
from vla_sae_ros.sae import SaeBundle  # noqa: E402

EDITS = 16
INSTRUCTION = "pick up the butter and place it in the basket"


def main() -> None:
    """Print the table as JSON."""
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    bundles = [SaeBundle.load(folder) for folder in arguments.bundles]
    # Two copies of the policy: hooks on the one cannot slow the other down.
    plain = PolicyEngine(load_policy(arguments.policy))
    tapped = PolicyEngine(load_policy(arguments.policy), bundles)
    onnx = OnnxEngine(arguments.export or arguments.policy, threads=arguments.threads)
    onnx_plain = OnnxEngine(arguments.plain_export, threads=arguments.threads)
    frame, edited = _frame(onnx), Snapshot(1, _edits(tapped), cap=1.5)
    arms = {
        "torch, plain": partial(plain.infer, frame, INSTRUCTION, (0, 0)),
        "torch, tapped": partial(tapped.infer, frame, INSTRUCTION, (0, 0)),
        f"torch, {EDITS} edits": partial(tapped.infer, frame, INSTRUCTION, (0, 0), edited),
        "onnx, plain": partial(onnx_plain.infer, frame, INSTRUCTION, (0, 0)),
        "onnx, tapped": partial(onnx.infer, frame, INSTRUCTION, (0, 0)),
        f"onnx, {EDITS} edits": partial(onnx.infer, frame, INSTRUCTION, (0, 0), edited),
    }
    for run in arms.values():
        for _ in range(5):
            run()
    timings: dict[str, list[float]] = {name: [] for name in arms}
    for _ in trange(arguments.rounds, desc="rounds"):
        for name in random.sample(list(arms), len(arms)):
            started = time.perf_counter()
            arms[name]()
            timings[name].append((time.perf_counter() - started) * 1e3)
    print(json.dumps(_table(timings), indent=2))


def _edits(engine: PolicyEngine) -> dict[str, tuple[AppliedEdit, ...]]:
    sites = [site for site in engine.steering_sites() if site.can_steer]
    each = EDITS // len(sites)
    return {
        site.name: tuple(
            AppliedEdit(int(f), Mode.CLAMP, float(site.observed_max[f]), 1.0)
            for f in np.argsort(site.observed_max)[::-1][:each]
        )
        for site in sites
    }


def _frame(engine: OnnxEngine) -> dict[str, np.ndarray]:
    numbers = np.random.default_rng(0)
    frame = {
        camera: numbers.integers(0, 256, (256, 256, 3), dtype=np.uint8)
        for camera in engine.description.cameras
    }
    frame[engine.description.state] = numbers.normal(size=engine.description.state_size).astype(
        np.float32
    )
    return frame


def _table(timings: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    first = np.array(timings["torch, plain"])
    return {
        name: {
            "median ms": round(float(np.median(values)), 2),
            "p99 ms": round(float(np.percentile(values, 99)), 2),
            "ratio to torch, plain": round(float(np.median(np.array(values) / first)), 3),
        }
        for name, values in timings.items()
    }


def _parser() -> argparse.ArgumentParser:
    demo = resource("models", "demo")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--policy", type=Path, default=demo / "policy")
    parser.add_argument("--bundles", type=Path, nargs="*", default=sorted((demo / "sae").glob("*")))
    parser.add_argument("--export", type=Path, help="default: onnx/ inside the policy folder")
    parser.add_argument("--plain-export", type=Path, required=True, help="made without bundles")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    return parser


if __name__ == "__main__":
    main()
