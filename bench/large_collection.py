"""Peak memory of training, classifying and labelling on a collection that is larger than that.

    python bench/large_collection.py [--gigabytes 2] [--folder /tmp/large]

Makes a synthetic collection (d = 2,048, episodes of 300 inferences with a state, 18 tasks), then
runs the commands on it in a process of its own, whose anonymous memory (RssAnon: what cannot be
given back to the system; pages of the mapped shards can) is looked at every 20 ms.
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
    from vla_sae_ros.study.activation_format import CollectedSite, Collection
    from vla_sae_ros.study.activation_writer import ActivationWriter

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
                context = {"episode_id": f"e{number}", "step": 5 * step, "task": task,
                           "instruction": f"do {task}", "seed": number, "state": x[step, :8],
                           "action": x[step, 8:15], "residual_norm": float(step)}
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


def study(folder: Path) -> None:
    """Run the offline commands on the collection."""
    from vla_sae_ros.cli import main

    act, sae = str(folder / "act"), str(folder / "sae")
    with peak_memory("importing torch"):
        import torch

        torch.set_num_threads(2)
    with peak_memory("train-sae"):
        words = ["train-sae", act, "--out", sae, "--dictionary-size", str(FEATURES)]
        assert main([*words, "--k", "16", "--epochs", "1"]) == 0
    for words in (["classify", sae, act, "--draws", "100"], ["label", sae, act],
                  ["report", sae, "--activations", act, "--out", str(folder / "report.html")]):
        with peak_memory(words[0]):
            assert main(words) == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--folder", type=Path, help="where; default: a temporary folder")
    parser.add_argument("--study", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.study is not None:
        return study(args.study)
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        rows = make(Path(temporary) / "act", args.gigabytes)
        print(f"{rows} x {WIDTH} float32 = {rows * WIDTH * 4 / 1e9:.2f} GB", flush=True)
        subprocess.run([sys.executable, __file__, "--study", temporary], check=True)


if __name__ == "__main__":
    main()
