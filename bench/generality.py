"""Time of the generality metric at the paper's LIBERO size: 1,693 episodes, 273k steps x 2,048.

    python bench/generality.py

Episodes are made as they are read, 100 active codes of 2,048 per step, so the data never lies in
memory; making them is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from vla_sae_ros.study.features.generality.generality import feature_metrics

EPISODES, STEPS, FEATURES, ACTIVE = 1693, 273_465, 2048, 100


class Episodes:
    """Makes sparse episodes one at a time and counts the seconds that takes."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __iter__(self) -> Iterator[np.ndarray]:
        generator = np.random.default_rng(0)
        for number in range(EPISODES):
            started = time.perf_counter()
            length = STEPS * (number + 1) // EPISODES - STEPS * number // EPISODES
            f = np.zeros((length, FEATURES), np.float32)
            columns = generator.integers(0, FEATURES, (length, ACTIVE))
            np.put_along_axis(f, columns, generator.random((length, ACTIVE), np.float32), axis=1)
            self.seconds += time.perf_counter() - started
            yield f


def main() -> None:
    episodes = Episodes()
    started = time.perf_counter()
    metrics = feature_metrics(episodes)
    seconds = time.perf_counter() - started - episodes.seconds
    print(f"{EPISODES} episodes, {STEPS} steps x {FEATURES} features: {seconds:.1f} s")
    print(f"mean coverage {metrics.coverage.mean():.3f}, onsets {metrics.onset_count.mean():.1f}")


if __name__ == "__main__":
    main()
