"""Peak memory of training, classifying, labelling and reporting on collections of growing size.

    python bench/large_collection.py [--gigabytes 0.25 1] [--folder /tmp/large]

Makes a synthetic collection of each size (d = 2,048, episodes of 300 inferences with a state, 18
tasks), then runs every command on it in a process of its own, whose anonymous memory (RssAnon:
what cannot be given back to the system; pages of the mapped shards can) is looked at every 20 ms.
One thread: torch's threads spin while they wait, and on a busy machine that is most of the time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

WIDTH, INFERENCES, TASKS, FEATURES = 2048, 300, 18, 512
SITE = "backbone.5"


def make(folder: Path, gigabytes: float) -> int:
    """Write the collection; return its number of rows."""
    from vla_sae_ros.activations.format import CollectedSite, Collection
    from vla_sae_ros.activations.writer import ActivationWriter

    random = np.random.default_rng(0)
    rows = int(gigabytes * 1e9 / 4 / WIDTH)
    dictionary = random.standard_normal((FEATURES, WIDTH), np.float32)
    site = CollectedSite(WIDTH, "mean", ("camera", "language"))
    collection = Collection("0123456789abcdef", "synthetic", {SITE: site}, 20.0)
    with ActivationWriter(folder, collection) as writer:
        for number in range(rows // INFERENCES):
            code = random.random((INFERENCES, FEATURES), np.float32)
            x = (code * (code > 0.98)) @ dictionary
            task = f"task {number % TASKS}"
            for step in range(INFERENCES):
                context = {
                    "episode_id": f"e{number}",
                    "step": 5 * step,
                    "task": task,
                    "instruction": f"do {task}",
                    "seed": number,
                    "state": x[step, :8],
                    "action": x[step, 8:15],
                    "residual_norm": float(step),
                }
                writer(SITE, x[step], context)
            writer.end_episode(True)
    return rows // INFERENCES * INFERENCES


@contextmanager
def peak_memory(what: str) -> Iterator[None]:
    """Print the largest RssAnon while the body runs, and how long that took."""
    done, largest = threading.Event(), 0

    def watch() -> None:
        nonlocal largest
        while True:
            status = Path("/proc/self/status").read_text()
            largest = max(largest, int(status.split("RssAnon:")[1].split()[0]))
            if done.wait(0.02):
                return

    thread, started = threading.Thread(target=watch), time.perf_counter()
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    print(f"{what}: peak {largest / 1e3:.0f} MB, {time.perf_counter() - started:.0f} s", flush=True)


def study(words: list[str]) -> None:
    """Run one command and print its peak."""
    import torch

    from vla_sae_ros.cli import main

    torch.set_num_threads(1)
    with peak_memory(words[0]):
        assert main(words) == 0


def commands(folder: Path) -> list[list[str]]:
    """Return the commands in their order; each needs what the ones before it made."""
    act, sae = str(folder / "act"), str(folder / "sae")
    trained = ["--dictionary-size", str(FEATURES), "--k", "16", "--epochs", "1"]
    return [
        ["train-sae", act, "--out", sae, *trained],
        ["classify", sae, act, "--draws", "100"],
        ["label", sae, act],
        ["report", sae, "--activations", act, "--out", str(folder / "report.html")],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.25, 1.0])
    parser.add_argument("--folder", type=Path, help="where; default: a temporary folder")
    parser.add_argument("--study", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.study is not None:
        return study(args.study)
    for gigabytes in args.gigabytes:
        with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
            rows = make(Path(temporary) / "act", gigabytes)
            print(f"{rows} x {WIDTH} float32 = {rows * WIDTH * 4 / 1e9:.2f} GB", flush=True)
            for words in commands(Path(temporary)):
                subprocess.run([sys.executable, __file__, "--study", *words], check=True)


if __name__ == "__main__":
    main()
