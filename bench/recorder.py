"""The recorder under load, over real DDS, publisher and recorder each a process of its own.

    python bench/recorder.py [--seconds 60] [--small 1000] [--pictures 200]
    python bench/recorder.py --kill 20

The first publishes small messages (a feature message of 64 triples, per second) and pictures
(640 x 480 rgb8 on four cameras, in MB/s), records them, and says what is missing in the bag, how
long a message waited between its reception and its writing, and what CPU both took. The second
kills the recorder with SIGKILL at random moments, repairs its bag and says how much of its last
time is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from array import array
from pathlib import Path
from typing import Any

from vla_sae_ros.environment import prepare

prepare()

import numpy as np  # noqa: E402  (after the environment)
import rclpy  # noqa: E402
from rclpy.duration import Duration  # noqa: E402
from rclpy.publisher import Publisher  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from rosbags.highlevel import AnyReader  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from vla_sae_ros.bags.writer import BagWriter  # noqa: E402
from vla_sae_ros.clients.client import Client, NoAnswer  # noqa: E402
from vla_sae_ros.msg import FeatureActivations  # noqa: E402
from vla_sae_ros.nodes.recorder import recorder_node  # noqa: E402
from vla_sae_ros.study.bag_commands.repair import repair  # noqa: E402
from vla_sae_ros.wire import qos  # noqa: E402
from vla_sae_ros.wire.conversions import to_floats, to_image, to_unsigned  # noqa: E402

HEIGHT, WIDTH, CAMERAS = 480, 640, 4
STREAMS = 10
"""Topics that share the small messages: at 1,000/s each has the design's 100 Hz of features."""
TOPICS = [
    *(f"features_{stream}" for stream in range(STREAMS)),
    *(f"observation/image/camera_{camera}" for camera in range(CAMERAS)),
]
PICTURE_MB = HEIGHT * WIDTH * 3 * 1e-6
SEQUENCE = slice(8, 12)
"""Where, in a serialized message, header.stamp.nanosec is: it carries a sequence number."""


class TimedWriter(BagWriter):
    """Notes how long each message waited for it."""

    delays = array("q")  # [ns]

    def write(self, topic: str, received_ns: int, data: bytes) -> None:
        super().write(topic, received_ns, data)
        TimedWriter.delays.append(time.time_ns() - received_ns)


def record(report: Path) -> int:
    """Be the recorder's process; leave delays and CPU time in `report` at the end."""
    recorder_node.BagWriter = TimedWriter  # type: ignore[misc]
    status = recorder_node.main(
        [
            "--ros-args",
            *("-p", "min_free_disk:=0"),
            *("-p", f"output_folder:={report.parent}"),
            *("-p", "any_folder:=true"),
        ]
    )
    used = resource.getrusage(resource.RUSAGE_SELF)
    delays = np.array(TimedWriter.delays, np.float64) * 1e-6
    numbers = {"cpu_s": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1e3}
    for share in (50, 99, 100):
        numbers[f"delay_p{share}_ms"] = float(np.percentile(delays, share)) if len(delays) else 0.0
    report.write_text(json.dumps(numbers))
    return status


class Source:
    """Publishes one serialized message again and again, numbered, at its rate."""

    def __init__(self, publisher: Publisher, message: Any, rate: float, phase: float) -> None:
        self.publisher, self.rate, self.sent = publisher, rate, 0
        self._phase = phase / rate  # [s]
        self._data = bytearray(serialize_message(message))

    def due(self) -> float:
        """Return when the next message is due [s since the start]."""
        return self.sent / self.rate + self._phase

    def send(self) -> None:
        """Publish the next one."""
        self._data[SEQUENCE] = self.sent.to_bytes(4, "little")
        self.publisher.publish(bytes(self._data))
        self.sent += 1


def publish(seconds: float, small: float, pictures: float, report: Path) -> None:
    """Be the publisher's process: wait for the recorder, publish, leave counts in `report`."""
    rclpy.init()
    node = rclpy.create_node("source")
    activations = FeatureActivations(
        site="expert.1",
        index=to_unsigned(np.arange(64)),
        natural=to_floats(np.ones(64)),
        applied=to_floats(np.ones(64)),
    )
    sources = []
    for stream in range(STREAMS if small else 0):
        publisher = node.create_publisher(FeatureActivations, f"features_{stream}", qos.FEATURES)
        sources.append(Source(publisher, activations, small / STREAMS, stream / STREAMS))
    image = to_image(np.full((HEIGHT, WIDTH, 3), 7, np.uint8), Header())
    for camera in range(CAMERAS if pictures else 0):
        publisher = node.create_publisher(
            type(image), f"observation/image/camera_{camera}", qos.OBSERVATION
        )
        rate = pictures / PICTURE_MB / CAMERAS
        sources.append(Source(publisher, image, rate, camera / CAMERAS))
    while not all(source.publisher.get_subscription_count() for source in sources):
        time.sleep(0.05)
    time.sleep(1.0)  # the other side of the discovery
    start = time.monotonic()
    late = 0.0
    while (source := min(sources, key=Source.due)).due() < seconds:
        wait = start + source.due() - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        late = max(late, -wait)
        source.send()
    lasted = time.monotonic() - start
    for source in sources:  # the last ones are still on their way, or to be sent once more
        source.publisher.wait_for_all_acked(Duration(seconds=10))
    used = resource.getrusage(resource.RUSAGE_SELF)
    sent = {source.publisher.topic_name: source.sent for source in sources}
    report.write_text(
        json.dumps(
            {
                "sent": sent,
                "seconds": lasted,
                "late_s": late,
                "cpu_s": used.ru_utime + used.ru_stime,
            }
        )
    )
    node.destroy_node()
    rclpy.shutdown()


def child(role: str, report: Path, *options: object) -> subprocess.Popen[bytes]:
    """Start this file in another role."""
    command = [
        sys.executable,
        __file__,
        "--role",
        role,
        "--report",
        str(report),
        *map(str, options),
    ]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def load(folder: Path, seconds: float, small: float, pictures: float) -> dict[str, Any]:
    """Run one load and return what came of it."""
    recorder = child("recorder", folder / "recorder.json")
    try:
        with Client("bench") as client:
            bag = start_bag(client, folder / "bag")
            source = child(
                "publisher",
                folder / "publisher.json",
                "--seconds",
                seconds,
                "--small",
                small,
                "--pictures",
                pictures,
            )
            source.wait()
            said = client.stop_recording()
    finally:
        recorder.send_signal(signal.SIGINT)
        recorder.wait()
    told = {
        name: json.loads((folder / f"{name}.json").read_text())
        for name in ("recorder", "publisher")
    }
    return {"said": said, **told, "missing": count_missing(bag, told["publisher"]["sent"])}


def start_bag(client: Client, folder: Path) -> Path:
    """Start a bag once the recorder is there: on a busy machine that takes its time."""
    for _ in range(5):
        try:
            return Path(client.start_recording(str(folder), topics=TOPICS))
        except NoAnswer:
            pass
    raise SystemExit("the recorder does not start")


def count_missing(bag: Path, sent: dict[str, int]) -> dict[str, int]:
    """Return, by topic, how many of the numbers that were sent are not in the bag."""
    seen: dict[str, set[int]] = {topic: set() for topic in sent}
    with AnyReader([bag]) as reader:
        for connection, _, raw in reader.messages():
            if connection.topic in sent:
                seen[connection.topic].add(int.from_bytes(raw[SEQUENCE], "little"))
    return {topic: count - len(seen[topic]) for topic, count in sent.items()}


def print_load(result: dict[str, Any]) -> None:
    """Print one load's numbers."""
    source, recorder = result["publisher"], result["recorder"]
    features = sum(n for topic, n in source["sent"].items() if "features" in topic)
    pictures = sum(source["sent"].values()) - features
    seconds = source["seconds"]

    def missing(kind: str) -> int:
        return sum(count for topic, count in result["missing"].items() if kind in topic)

    print(
        f"sent in {seconds:.1f} s: {features / seconds:.0f} small messages/s and "
        f"{pictures * PICTURE_MB / seconds:.0f} MB/s of pictures "
        f"({pictures / seconds:.0f}/s); the publisher was at most {source['late_s']:.2f} s late"
    )
    print(
        f"missing in the bag: {sum(result['missing'].values())} of "
        f"{features + pictures}: {missing('features')} small ones, {missing('image')} pictures"
    )
    print(
        "reception to writing: p50 {delay_p50_ms:.2f} ms, p99 {delay_p99_ms:.2f} ms, longest "
        "{delay_p100_ms:.0f} ms; peak memory {peak_mb:.0f} MB".format(**recorder)
    )
    print(
        f"CPU: recorder {recorder['cpu_s'] / seconds:.2f} of a core, "
        f"publisher {source['cpu_s'] / seconds:.2f}"
    )
    print(f"the recorder says: {result['said']}")


def kill(folder: Path, seed: int) -> dict[str, float]:
    """Kill a recorder at a random moment; return what its repaired bag lacks of the end [s]."""
    folder.mkdir()
    recorder = child("recorder", folder / "recorder.json")
    source = None
    try:
        with Client("bench") as client:
            bag = start_bag(client, folder / "bag")
            source = child(
                "publisher",
                folder / "publisher.json",
                "--seconds",
                30,
                "--small",
                200,
                "--pictures",
                20,
            )
            while (bag / "bag.mcap").stat().st_size < 2**20:  # messages are coming in
                time.sleep(0.01)
            time.sleep(random.Random(seed).uniform(0.5, 3.0))
            recorder.send_signal(signal.SIGKILL)
            killed = time.time_ns()
    finally:
        for process in filter(None, (recorder, source)):
            process.kill()
            process.wait()
    repaired = repair(bag, folder / "repaired")
    with AnyReader([repaired.output]) as reader:
        read = sum(1 for _ in reader.messages())
    return {
        "lost_s": (killed - repaired.last_ns) * 1e-9,
        "messages": repaired.messages,
        "read": read,
    }


def kill_all(folder: Path, times: int) -> None:
    """Kill as often as asked and print each."""
    lost = []
    for number in range(times):
        result = kill(folder / str(number), number)
        assert result["read"] == result["messages"]
        lost.append(result["lost_s"])
        print(
            f"{number + 1:3}: {result['messages']:6.0f} messages recovered, the last one "
            f"{1e3 * result['lost_s']:.0f} ms before the kill"
        )
        shutil.rmtree(folder / str(number))
    print(f"{times} bags repaired and read; at most the last {1e3 * max(lost):.0f} ms were lost")


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--small", type=float, default=1000.0, help="small messages [1/s]")
    parser.add_argument("--pictures", type=float, default=200.0, help="pictures [MB/s]")
    parser.add_argument("--kill", type=int, default=0, help="kill the recorder so many times")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="disk for the bags: seconds x pictures MB",
    )
    parser.add_argument("--role", choices=("recorder", "publisher"), help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role == "recorder":
        return record(args.report)
    if args.role == "publisher":
        publish(args.seconds, args.small, args.pictures, args.report)
        return 0
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 101))
    with tempfile.TemporaryDirectory(prefix="recorder_bench_", dir=args.folder) as temporary:
        if args.kill:
            kill_all(Path(temporary), args.kill)
        else:
            print_load(load(Path(temporary), args.seconds, args.small, args.pictures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
