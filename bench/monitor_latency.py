"""How long a monitor takes from an inference's features to its state and alarm, over DDS.

    python bench/monitor_latency.py [MONITOR]

Without a folder it plants one of 128 dimensions. Prints percentiles of the time from publishing
`policy/features` to hearing `monitor/state`, the monitor in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor

from vla_sae_ros.monitors.band import Band
from vla_sae_ros.monitors.card import MonitorCard, ScoreCard
from vla_sae_ros.monitors.monitor import Calibrated, Monitor
from vla_sae_ros.monitors.scores import MahalanobisScore
from vla_sae_ros.msg import FeatureActivations, FeatureCatalogue, MonitorState
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header

INFERENCES, PERIOD, WIDTH = 200, 0.05, 128
PATIENCE = 30.0  # [s]


def planted(folder: Path) -> Path:
    """Write a monitor of a Mahalanobis distance in WIDTH dimensions."""
    score = MahalanobisScore(np.zeros(WIDTH, np.float32), np.eye(WIDTH, dtype=np.float32))
    band = Band(np.zeros(1), np.zeros(1), np.ones(1), 1.0)
    card = MonitorCard(
        policy_id="planted",
        policy_name="planted",
        site="backbone.1",
        width=WIDTH,
        token_groups=("camera",),
        bundle_id="planted",
        control_rate=1.0 / PERIOD,
        interval=1,
        false_alarms=0.1,
        rate_range=(0.0, 1.0),
        fit_episodes=2,
        failing_fit_episodes=0,
        calibration_episodes=9,
        score="mahalanobis",
        scores=(ScoreCard("mahalanobis", 0.0, 1.0),),
    )
    Monitor(card, {"mahalanobis": Calibrated(score, 0.0, band)}).save(folder)
    return folder


def measured(card: MonitorCard) -> list[float]:
    """Return the latency [s] of every inference that was answered."""
    rclpy.init()
    node = rclpy.create_node("bench")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    heard: dict[int, float] = {}

    def hear(state: MonitorState) -> None:
        heard.setdefault(state.observation_step, time.perf_counter())

    features = node.create_publisher(FeatureActivations, "policy/features", qos.FEATURES)
    catalogue = node.create_publisher(FeatureCatalogue, "policy/catalogue", qos.LATCHED)
    node.create_subscription(MonitorState, "monitor/state", hear, qos.FEATURES)
    catalogue.publish(
        FeatureCatalogue(policy_id=card.policy_id, sites=[card.site], bundle_ids=[card.bundle_id])
    )
    until = time.monotonic() + PATIENCE
    while not (node.count_publishers("monitor/state") and features.get_subscription_count()):
        assert time.monotonic() < until, "the monitor node did not start"
        executor.spin_once(timeout_sec=0.1)
    draw = np.random.default_rng(0)

    def publish(episode: str, step: int) -> None:
        features.publish(
            FeatureActivations(
                header=to_header(time.time_ns()),
                episode_id=episode,
                site=card.site,
                observation_step=step,
                fvu=0.1,
                pooled=draw.normal(size=card.width).astype(np.float32).tolist(),
            )
        )

    while not heard:  # the node is found before it spins
        assert time.monotonic() < until, "the monitor node did not answer"
        publish("start", -1)
        executor.spin_once(timeout_sec=PERIOD)
    sent = {}
    for step in range(INFERENCES):
        sent[step] = time.perf_counter()
        publish("bench", step)
        while time.perf_counter() < sent[step] + PERIOD:
            executor.spin_once(timeout_sec=0.005)
    node.destroy_node()
    rclpy.shutdown()
    return [heard[step] - sent[step] for step in sent if step in heard]


def main() -> int:
    """Measure and print; return the exit status."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if sys.argv[1:] else planted(Path(temporary) / "monitor")
        card = Monitor.load(folder).card
        words = ["-m", "vla_sae_ros.nodes.monitor.monitor_node", "--ros-args", "-p"]
        process = subprocess.Popen([sys.executable, *words, f"monitor:={folder}"])
        try:
            latency = np.array(measured(card)) * 1e3
        finally:
            process.terminate()
            process.wait()
    median, p99 = np.percentile(latency, (50, 99))
    print(
        f"{len(latency)} of {INFERENCES} inferences, {card.score}, {card.width} dimensions: median "
        f"{median:.2f} ms, 99 % {p99:.2f} ms, largest {latency.max():.2f} ms; a control period of "
        f"the monitor is {1e3 / card.control_rate:.0f} ms"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
