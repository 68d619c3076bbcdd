"""Run one episode from a script and read the policy's features while it runs.

    vla-sae up sim --no-autorun         # in another terminal
    python examples/run_an_episode.py

You see the episode's result, and for every site the five features that were strongest on average,
with their labels from the catalogue.
"""

from __future__ import annotations

import argparse
import threading
from collections import defaultdict
from contextlib import suppress

import rclpy
from rclpy.executors import ExternalShutdownException

from vla_sae_ros.clients.client import Client
from vla_sae_ros.msg import FeatureActivations, FeatureCatalogue
from vla_sae_ros.wire import qos


class FeatureReader:
    """Hears every inference's active features, on a thread of its own."""

    def __init__(self) -> None:
        rclpy.init()
        self.labels: dict[tuple[str, int], str] = {}
        self.sums: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
        self.inferences: dict[str, int] = defaultdict(int)
        self._known = threading.Event()
        self._node = rclpy.create_node("feature_reader")
        self._node.create_subscription(
            FeatureCatalogue, "policy/catalogue", self._on_catalogue, qos.LATCHED
        )
        self._node.create_subscription(
            FeatureActivations, "policy/features", self._on_features, qos.FEATURES
        )
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def wait_for_catalogue(self) -> None:
        """The policy is heard from here on: whatever comes earlier is missed."""
        self._known.wait()

    def print_strongest(self, count: int) -> None:
        for site, sums in self.sums.items():
            print(f"{site}, mean over {self.inferences[site]} inferences:")
            for feature in sorted(sums, key=lambda one: -sums[one])[:count]:
                mean = sums[feature] / self.inferences[site]
                print(f"  {feature:5d} {mean:8.3f}  {self.labels.get((site, feature), '')}")

    def close(self) -> None:
        """Leave the graph; the thread ends first: Python must not exit while it is inside rclpy."""
        rclpy.shutdown()
        self._thread.join()

    def _on_catalogue(self, catalogue: FeatureCatalogue) -> None:
        self.labels = {(one.site, one.feature): one.label for one in catalogue.features}
        self._known.set()

    def _on_features(self, message: FeatureActivations) -> None:
        self.inferences[message.site] += 1
        for feature, value in zip(message.index, message.natural, strict=True):
            self.sums[message.site][feature] += value

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):  # by close
            rclpy.spin(self._node)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", default="libero_object")
    parser.add_argument("--task", type=int, default=0)
    parser.add_argument("--init-state", type=int, default=41)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--max-steps", type=int, default=0, help="0: the benchmark's limit")
    args = parser.parse_args()
    reader = FeatureReader()
    with Client("run_an_episode") as client:
        client.wait_until_ready()
        reader.wait_for_catalogue()
        result = client.run_episode(
            args.suite, args.task, args.init_state, args.seed, max_steps=args.max_steps
        )
    print(f"{'success' if result.success else 'no success'} after {result.steps} steps")
    reader.print_strongest(5)
    reader.close()


if __name__ == "__main__":
    main()
