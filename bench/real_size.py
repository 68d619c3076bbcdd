"""A policy of real size in the real policy node: load time, memory, seconds a chunk.

    python bench/published.py smolvla out/published/smolvla
    python bench/real_size.py out/published/smolvla [--rounds 5] [--as-configured]

The policy node runs in a process of its own, once without bundles and once with four SAEs (2,048
and 16,384 features, random, on two backbone and two expert sites). This process sends observations
over DDS, steers 16 features, and a recorder writes a bag with the pictures. Only one chunk is asked
for at a time. Times are from the request to the chunk; processor time is that of the node's process
meanwhile. Memory is resident, as Linux counts it (VmHWM at the peak), files that are mapped
included. --as-configured passes float32_on_cpu:=false.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from vla_sae_ros.environment import prepare

prepare()

import rclpy  # noqa: E402  (after the environment)
import torch  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402

from vla_sae_ros.bags.opened_bag import messages, open_bag  # noqa: E402
from vla_sae_ros.clients.client import Client  # noqa: E402
from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry  # noqa: E402
from vla_sae_ros.core.steering import Edit, Mode  # noqa: E402
from vla_sae_ros.msg import ActionChunk, ChunkRequest  # noqa: E402
from vla_sae_ros.policy.checkpoints.checkpoint_files import CONFIG, WEIGHTS  # noqa: E402
from vla_sae_ros.policy.checkpoints.policy_id import policy_id_of  # noqa: E402
from vla_sae_ros.sae import SaeBundle, TopKSAE  # noqa: E402
from vla_sae_ros.sae.bundle import BundleCard  # noqa: E402
from vla_sae_ros.wire import qos  # noqa: E402
from vla_sae_ros.wire.conversions import to_header, to_image, to_joint_state, to_pose, to_time  # noqa: E402

WIDTHS = {"smolvla": (960, 720), "pi05": (2048, 1024)}
"""Of backbone and expert."""
FEATURES = (2048, 16_384)
TAPS = (("backbone.5", 0), ("backbone.9", 1), ("expert.5", 0), ("expert.9", 1))
"""Site, and which of FEATURES its SAE has."""
EDITS_PER_SITE = 4
START, PERIOD = 1_700_000_000_000_000_000, 50_000_000
PATIENCE = 3600.0  # [s]
GIGABYTE = 1e9


def write_bundles(policy: Path, folder: Path) -> list[str]:
    """Write a random SAE for every tap; return their folders."""
    kind = json.loads((policy / CONFIG).read_text())["type"]
    policy_id = policy_id_of(policy)
    made = []
    for number, (site, size) in enumerate(TAPS):
        width = WIDTHS[kind][site.startswith("expert")]
        groups = ("action",) if site.startswith("expert") else ("camera", "language")
        draw = torch.Generator().manual_seed(number)
        count = FEATURES[size]
        rows = torch.nn.functional.normalize(torch.randn(count, width, generator=draw), dim=1)
        sae = TopKSAE(
            rows.T.contiguous(), torch.zeros(count), rows, torch.zeros(width), 64, "layer_norm"
        )
        card = BundleCard(
            policy_id, kind, site, width, count, 64, "mean", groups, "layer_norm", 3.0, 1.0
        )
        entries = [FeatureEntry(feature, observed_max=2.0) for feature in range(count)]
        SaeBundle(sae, card, Catalogue(site, entries)).save(folder / site)
        made.append(str(folder / site))
    return made


@dataclass
class Served:
    """A node's process."""

    process: subprocess.Popen[str]
    load_seconds: float

    def memory(self, what: str) -> float:
        """Return a line of /proc/<pid>/status in GB: VmHWM (peak) or VmRSS."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (kilobytes,) = re.findall(rf"{what}:\s+(\d+) kB", status)
        return int(kilobytes) * 1024 / GIGABYTE

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def node(module: str, ready: str, log: Path, **parameters: Any) -> Iterator[Served]:
    """Run a node of this package until the end of the context; yield once it says `ready`."""
    texts = {name: str(value) for name, value in parameters.items()}
    texts |= {name: text.lower() for name, text in texts.items() if text in ("True", "False")}
    given = [word for name, text in texts.items() for word in ("-p", f"{name}:={text}")]
    command = [sys.executable, "-m", f"vla_sae_ros.nodes.{module}", "--ros-args", *given]
    began = time.monotonic()
    with log.open("w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, text=True)
        try:
            _wait_for(process, log, ready)
            yield Served(process, time.monotonic() - began)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _wait_for(process: subprocess.Popen[str], log: Path, ready: str) -> None:
    while ready not in log.read_text():
        if process.poll() is not None:
            raise SystemExit(f"the node ended: {log.read_text()[-2000:]}")
        time.sleep(0.2)


class Asker:
    """Shows the node LIBERO's observations, asks for chunks, and waits for them."""

    def __init__(self) -> None:
        self._node = rclpy.create_node("real_size")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._step = 0
        self._chunks: list[ActionChunk] = []
        make = self._node.create_publisher
        self._pictures = {
            name: make(Image, f"observation/image/{name}", qos.OBSERVATION)
            for name in ("agentview", "wrist")
        }
        self._pose = make(PoseStamped, "ee_pose", qos.OBSERVATION)
        self._gripper = make(JointState, "gripper", qos.OBSERVATION)
        self._request = make(ChunkRequest, "policy/request", qos.CHUNK)
        self._node.create_subscription(
            ActionChunk, "policy/action_chunk", self._chunks.append, qos.CHUNK
        )

    def chunk(self) -> ActionChunk:
        """Ask from a new observation; return the answer."""
        self._until(lambda: bool(self._request.get_subscription_count()))
        self._step += 5
        header = to_header(START + self._step * PERIOD)
        drawn = np.random.default_rng(self._step)
        for publisher in self._pictures.values():
            publisher.publish(to_image(drawn.integers(0, 256, (256, 256, 3), np.uint8), header))
        self._pose.publish(to_pose([0.1, 0.2, 0.3], [1.0, 0.0, 0.0, 0.0], header))
        fingers = to_joint_state(["finger_joint1", "finger_joint2"], [0.01, -0.01], header)
        self._gripper.publish(fingers)
        self._request.publish(
            ChunkRequest(
                header=header,
                episode_id="real_size",
                instruction="pick up the butter and place it in the basket",
                start=to_time(START),
                seed=1,
                step=self._step,
            )
        )
        self._until(lambda: any(chunk.observation_step == self._step for chunk in self._chunks))
        return self._chunks[-1]

    def settle(self) -> None:
        """Wait for the chunk of a replan."""
        count = len(self._chunks)
        self._until(lambda: len(self._chunks) > count)

    def _until(self, there: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not there():
            if time.monotonic() > end:
                raise SystemExit("no answer from the policy node")
            self._executor.spin_once(0.05)


def timed(asker: Asker, served: Served, rounds: int) -> str:
    """Return seconds a chunk, and of processor time, as cells of a table."""
    asker.chunk()
    walls, used = [], []
    for _ in range(rounds):
        began, before = time.monotonic(), served.processor_seconds()
        asker.chunk()
        walls.append(time.monotonic() - began)
        used.append(served.processor_seconds() - before)
    return f"{median(walls):.2f} | {median(used):.2f}"


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("policy", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--as-configured", action="store_true")
    args = parser.parse_args()
    rclpy.init()
    asker = Asker()
    settings = {"policy": args.policy, "float32_on_cpu": not args.as_configured}
    weights = (args.policy / WEIGHTS).stat().st_size / GIGABYTE
    print(f"{args.policy}: {weights:.2f} GB of weights on disk; 1 thread")
    print("| the node | ready after | peak to then | at the end | peak | s a chunk | of a core |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with node("policy.policy_node", "serving ", folder / "plain.log", **settings) as plain:
            _row("plain", plain, plain.memory("VmHWM"), timed(asker, plain, args.rounds))
        bundles = write_bundles(args.policy, folder)
        settings["bundles"] = json.dumps(bundles)
        with (
            node(
                "recorder.recorder_node",
                "offers record/start",
                folder / "recorder.log",
                any_folder=True,
            ) as _recorder,
            node("policy.policy_node", "serving ", folder / "tapped.log", **settings) as tapped,
            Client("real_size_client") as client,
        ):
            client.start_recording(str(folder / "bag"), images=True)
            loaded = tapped.memory("VmHWM")
            _row("four taps", tapped, loaded, timed(asker, tapped, args.rounds))
            edits = [
                Edit(feature, Mode.ADD, 2.0, site)
                for site, _size in TAPS
                for feature in range(EDITS_PER_SITE)
            ]
            revision = client.set_steering(edits)
            asker.settle()
            _row("and 16 edits", tapped, loaded, timed(asker, tapped, args.rounds))
            client.stop_recording()
        _tell_bag(folder / "bag", revision)
    rclpy.shutdown()


def _row(name: str, served: Served, loaded: float, cells: str) -> None:
    now, peak = served.memory("VmRSS"), served.memory("VmHWM")
    print(
        f"| {name} | {served.load_seconds:.0f} s | {loaded:.2f} GB | {now:.2f} GB | {peak:.2f} GB "
        f"| {cells} |",
        flush=True,
    )


def _tell_bag(bag: Path, revision: int) -> None:
    with open_bag(bag) as reader:
        chunks = [message for _, message in messages(reader, "policy/action_chunk")]
        features = sum(1 for _ in messages(reader, "policy/features"))
    steered = sum(chunk.steering_revision >= revision for chunk in chunks)
    print(f"in the bag: {len(chunks)} chunks, {steered} of them steered; {features} read-outs")


if __name__ == "__main__":
    main()
