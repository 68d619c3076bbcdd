"""Inference with taps and publishing over plain inference, in one run, pair by pair.

    python bench/inference_overhead.py [--rounds 100]

Plain is the same policy without hooks, publishing its chunk. A ratio is the median over the rounds
of an arm's time over plain's: until the chunk is published, and until the features are, too. Each
round measures every arm once, in an order that changes, so that a drift of the machine hits all
arms alike. To the given bundles come random ones of the same size, one more on each stack.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vla_sae_ros.environment import prepare

prepare()

import rclpy  # noqa: E402  (the environment has to be prepared first)
import torch  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from tqdm import trange  # noqa: E402

from vla_sae_ros.core.catalogue import Catalogue  # noqa: E402
from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot  # noqa: E402
from vla_sae_ros.msg import ActionChunk, FeatureActivations  # noqa: E402
from vla_sae_ros.nodes import qos  # noqa: E402
from vla_sae_ros.nodes.conversions import to_header, to_image  # noqa: E402
from vla_sae_ros.nodes.inference_worker import Job  # noqa: E402
from vla_sae_ros.nodes.policy_messages import to_chunk, to_features  # noqa: E402
from vla_sae_ros.policy.engine import PolicyEngine  # noqa: E402
from vla_sae_ros.policy.loading import load_policy  # noqa: E402
from vla_sae_ros.resources import resource  # noqa: E402
from vla_sae_ros.sae import SaeBundle, TopKSAE  # noqa: E402

EDITS = 16


def main() -> None:
    """Print the table and write it as JSON."""
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    arms = _arms(arguments.policy, arguments.bundles)
    for run in arms.values():
        for _ in range(5):
            run()
    timings: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
    for _ in trange(arguments.rounds, desc="rounds"):
        for name in random.sample(list(arms), len(arms)):
            started = time.perf_counter()
            handed_over = arms[name]() - started
            timings[name].append((handed_over * 1e3, (time.perf_counter() - started) * 1e3))
    print(json.dumps(_table(timings), indent=2))


def _arms(policy: Path, bundle_folders: list[Path]) -> dict[str, Callable[[], float]]:
    """Return what each arm does; a run returns the time at which its chunk was published."""
    # Two copies of the policy: hooks on the one cannot slow the other down.
    plain = PolicyEngine(load_policy(policy))
    given = [SaeBundle.load(folder) for folder in bundle_folders]
    tapped = PolicyEngine(load_policy(policy), [*given, *_random_bundles(plain, given)])
    rclpy.init()
    node = rclpy.create_node("bench")
    chunks = node.create_publisher(ActionChunk, "policy/action_chunk", qos.CHUNK)
    features = node.create_publisher(FeatureActivations, "policy/features", qos.FEATURES)
    pictures = node.create_publisher(Image, "policy/feature_heatmap", qos.PICTURE)
    frame = _frame(plain)

    def run(engine: PolicyEngine, snapshot: Snapshot, heatmap: str = "") -> float:
        job = Job(frame, "pick up the butter and place it in the basket", "bench", 0, 0, 0, 0)
        inference = engine.infer(frame, job.instruction, (0, 0), snapshot)
        chunks.publish(to_chunk(job, inference, 1, 20.0, 0))
        handed_over = time.perf_counter()
        for site in inference.sites:
            features.publish(to_features(job, inference, site, 1))
        if heatmap and inference.draw is not None:
            pictures.publish(to_image(inference.draw(heatmap, 0), to_header(0)))
        return handed_over

    edited = Snapshot(1, _edits(tapped), cap=1.5)
    pictured = next(name for name in edited.edits if not tapped.why_no_heatmap(name, 0))
    return {
        "plain": lambda: run(plain, Snapshot()),
        "4 taps, no edit": lambda: run(tapped, Snapshot()),
        f"4 taps, {EDITS} edits": lambda: run(tapped, edited),
        "4 taps, heatmap": lambda: run(tapped, Snapshot(), pictured),
    }


def _random_bundles(engine: PolicyEngine, given: list[SaeBundle]) -> list[SaeBundle]:
    """Return, for each bundle, a random one of its size on another site of the same stack."""
    taken = {bundle.card.site for bundle in given}
    bundles = []
    for bundle in given:
        stack = bundle.card.site.split(".")[0]
        free = [site for site in engine.adapter.sites.values() if site.name.startswith(stack)]
        site = next(site.name for site in free if site.can_steer and site.name not in taken)
        taken.add(site)
        generator = torch.Generator().manual_seed(len(bundles))
        size, width = bundle.sae.W_dec.shape
        rows = torch.nn.functional.normalize(torch.randn(size, width, generator=generator))
        sae = TopKSAE(rows.T, torch.zeros(size), rows, torch.zeros(width), bundle.card.k,
                      bundle.card.normalization)  # fmt: skip
        catalogue = Catalogue(site, bundle.catalogue.entries)
        bundles.append(SaeBundle(sae, dataclasses.replace(bundle.card, site=site), catalogue))
    return bundles


def _edits(engine: PolicyEngine) -> dict[str, tuple[AppliedEdit, ...]]:
    sites = [site for site in engine.steering_sites() if site.can_steer]
    each = EDITS // len(sites)
    edits = {}
    for site in sites:
        alive = np.argsort(site.observed_max)[::-1][:each]
        edits[site.name] = tuple(
            AppliedEdit(int(f), Mode.CLAMP, float(site.observed_max[f]), 1.0) for f in alive
        )
    return edits


def _frame(engine: PolicyEngine) -> dict[str, np.ndarray]:
    random_numbers = np.random.default_rng(0)
    frame = {}
    for key, feature in engine.loaded.policy.config.input_features.items():
        if feature.type.name == "VISUAL":
            frame[key] = random_numbers.integers(0, 256, (256, 256, 3), dtype=np.uint8)
        else:
            frame[key] = random_numbers.normal(size=feature.shape).astype(np.float32)
    return frame


def _table(timings: dict[str, list[tuple[float, float]]]) -> dict[str, dict[str, float]]:
    plain = np.array(timings["plain"])  # (rounds, 2): until the chunk, until everything is out
    return {
        name: {
            "median ms": round(float(np.median(np.array(values)[:, 1])), 2),
            "to the chunk, over plain": _ratio(np.array(values)[:, 0], plain[:, 0]),
            "to the last message, over plain": _ratio(np.array(values)[:, 1], plain[:, 1]),
        }
        for name, values in timings.items()
    }


def _ratio(values: np.ndarray, plain: np.ndarray) -> float:
    return round(float(np.median(values / plain)), 4)


def _parser() -> argparse.ArgumentParser:
    demo = resource("models", "demo")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--policy", type=Path, default=demo / "policy")
    parser.add_argument("--bundles", type=Path, nargs="*", default=sorted((demo / "sae").glob("*")))
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    return parser


if __name__ == "__main__":
    main()
