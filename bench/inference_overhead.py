"""Inference with taps and publishing over plain inference, in one run, pair by pair.

    python bench/inference_overhead.py [--rounds 100]
    python bench/inference_overhead.py --pi05 512     # a random pi0.5 of this width instead

Plain is the policy without hooks, publishing its chunk. All arms run on one policy in memory: an
arm's hooks are put on before its turn and taken off after it. A turn is one inference to warm up
and one that is measured; each round gives every arm a turn, in an order that changes, so that a
drift of the machine hits all alike. A ratio is the median over the rounds of an arm's time over
plain's: until the chunk is published, by the clock and by the processor time of the inferring
thread, and until the features are, too. `plain again` says how far two equal arms differ. To the
given bundles come random ones of the same size, one more on each stack. The floor is what four
hooks cost that add a vector known beforehand.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from vla_sae_ros.environment import prepare

prepare()

import rclpy  # noqa: E402  (the environment has to be prepared first)
import torch  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from tapped_policy import EDITS, edits, frame_of, given_policy, random_bundles  # noqa: E402
from tqdm import trange  # noqa: E402

from vla_sae_ros.core.steering import Snapshot  # noqa: E402
from vla_sae_ros.msg import ActionChunk, FeatureActivations  # noqa: E402
from vla_sae_ros.nodes.policy.inference_worker import Job  # noqa: E402
from vla_sae_ros.nodes.policy.messages import to_chunk, to_features  # noqa: E402
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy  # noqa: E402
from vla_sae_ros.policy.engine import PolicyEngine  # noqa: E402
from vla_sae_ros.policy.inference import Inference  # noqa: E402
from vla_sae_ros.resources import resource  # noqa: E402
from vla_sae_ros.sae import SaeBundle  # noqa: E402
from vla_sae_ros.wire import qos  # noqa: E402
from vla_sae_ros.wire.conversions import to_header, to_image  # noqa: E402

TOLD = "pick up the butter and place it in the basket"


@dataclass(frozen=True)
class Arm:
    """What hangs on the policy, and what is asked of it. known: vectors added at sites."""

    bundles: Sequence[SaeBundle] = ()
    known: Sequence[tuple[str, int]] = ()
    snapshot: Snapshot = field(default_factory=Snapshot)
    heatmap: str = ""


@dataclass(frozen=True)
class Times:
    """Of one inference [ms]."""

    chunk: float
    chunk_processor: float
    everything: float


def main() -> None:
    """Print the table."""
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    loaded, bundles = given_policy(arguments.policy, arguments.bundles, arguments.pi05)
    arms = _arms(loaded, bundles)
    publish = _publisher()
    timings: dict[str, list[Times]] = {name: [] for name in arms}
    for _ in trange(arguments.rounds, desc="rounds"):
        for name in random.sample(list(arms), len(arms)):
            timings[name].append(_turn(loaded, arms[name], publish))
    rclpy.try_shutdown()
    print(json.dumps(_table(timings), indent=2))


def _arms(loaded: LoadedPolicy, given: list[SaeBundle]) -> dict[str, Arm]:
    engine = PolicyEngine(loaded)
    bundles = [*given, *random_bundles(engine, given)]
    known = [(bundle.card.site, bundle.card.d_in) for bundle in bundles]
    engine = PolicyEngine(loaded, bundles)
    edited = Snapshot(1, edits(engine), cap=1.5)
    pictured = next(name for name in edited.edits if not engine.why_no_heatmap(name, 0))
    engine.close()
    return {
        "plain": Arm(),
        "plain again": Arm(),
        "floor: 4 hooks add a known vector": Arm(known=known),
        "4 taps, no edit": Arm(bundles),
        f"4 taps, {EDITS} edits": Arm(bundles, snapshot=edited),
        "4 taps, heatmap": Arm(bundles, heatmap=pictured),
    }


@contextmanager
def _hooked(loaded: LoadedPolicy, arm: Arm) -> Iterator[PolicyEngine]:
    engine = PolicyEngine(loaded, arm.bundles)
    handles = [
        engine.adapter.attach(site, partial(_add_known, torch.full((width,), 1e-3)))
        for site, width in arm.known
    ]
    try:
        yield engine
    finally:
        engine.close()
        for handle in handles:
            handle.remove()


def _turn(loaded: LoadedPolicy, arm: Arm, publish: Callable[..., tuple[float, float]]) -> Times:
    with _hooked(loaded, arm) as engine:
        frame = frame_of(engine)
        engine.infer(frame, TOLD, (0, 0), arm.snapshot)
        started, processor = time.perf_counter(), time.thread_time()
        inference = engine.infer(frame, TOLD, (0, 0), arm.snapshot)
        handed_over, spent = publish(frame, inference, arm.heatmap)
        ended = time.perf_counter()
    return Times(1e3 * (handed_over - started), 1e3 * (spent - processor), 1e3 * (ended - started))


def _publisher() -> Callable[..., tuple[float, float]]:
    """Return what publishes an inference, and says when its chunk was out."""
    rclpy.init()
    node = rclpy.create_node("bench")
    chunks = node.create_publisher(ActionChunk, "policy/action_chunk", qos.CHUNK)
    features = node.create_publisher(FeatureActivations, "policy/features", qos.FEATURES)
    pictures = node.create_publisher(Image, "policy/feature_heatmap", qos.PICTURE)

    def publish(
        frame: dict[str, np.ndarray], inference: Inference, heatmap: str
    ) -> tuple[float, float]:
        job = Job(frame, TOLD, "bench", 0, 0, 0, 0)
        chunks.publish(to_chunk(job, inference, 1, 20.0, 0))
        handed_over = time.perf_counter(), time.thread_time()
        for site in inference.sites:
            features.publish(to_features(job, inference, site, 1, 0))
        if heatmap and inference.draw is not None:
            pictures.publish(to_image(inference.draw(heatmap, 0), to_header(0)))
        return handed_over

    return publish


def _add_known(vector: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return vector.expand_as(x)


def _table(timings: dict[str, list[Times]]) -> dict[str, dict[str, float]]:
    plain = timings["plain"]
    ratios = {
        "to the chunk": "chunk",
        "to the chunk, processor time": "chunk_processor",
        "to the last message": "everything",
    }
    return {
        name: {"median ms": round(float(np.median(_column(values, "everything"))), 2)}
        | {
            f"{what}, over plain": _ratio(_column(values, part), _column(plain, part))
            for what, part in ratios.items()
        }
        for name, values in timings.items()
    }


def _column(times: list[Times], part: str) -> np.ndarray:
    return np.array([getattr(one, part) for one in times])


def _ratio(values: np.ndarray, plain: np.ndarray) -> float:
    return round(float(np.median(values / plain)), 4)


def _parser() -> argparse.ArgumentParser:
    demo = resource("models", "demo")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--policy", type=Path, default=demo / "policy")
    parser.add_argument("--bundles", type=Path, nargs="*", default=sorted((demo / "sae").glob("*")))
    parser.add_argument("--pi05", type=int, default=0, metavar="WIDTH")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    return parser


if __name__ == "__main__":
    main()
