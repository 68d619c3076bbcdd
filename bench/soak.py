"""A long run at 15 Hz: memory of every process, loss, and what a steering request takes.

    python bench/soak.py [--minutes 60] [--windows 6] [--out soak.json]

The tiny random policy for DROID, the robot's bridge on a simulated arm, the recorder and the panel
(offscreen) run as `vla-sae up droid` starts them. This process publishes two cameras at 15 Hz and
steers one feature all the time. One episode per window; a line of numbers after each.

Loss is counted in the bag: ticks missing between the first and last of an episode, inferences
missing between the first and last of the run, accepted requests without their event. Memory is the
median of samples in the first and in the last tenth of the run. Exit status 1: something was lost,
or a process holds over 2 % and 2 MB more at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vla_sae_ros.environment import prepare

prepare()

import rclpy  # noqa: E402  (after the environment)
from process_tree import processor_seconds, resident_megabytes  # noqa: E402
from rclpy.context import Context  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from vla_sae_ros.bags.opened_bag import messages, open_bag  # noqa: E402
from vla_sae_ros.clients.client import Client  # noqa: E402
from vla_sae_ros.core.errors import VlaSaeError  # noqa: E402
from vla_sae_ros.core.steering import Edit, EventKind, Mode, Unit  # noqa: E402
from vla_sae_ros.live.driving import drive  # noqa: E402
from vla_sae_ros.policy.tiny import rehearsal  # noqa: E402
from vla_sae_ros.systems.robots import robot_system  # noqa: E402
from vla_sae_ros.wire import qos  # noqa: E402
from vla_sae_ros.wire.conversions import to_header, to_image  # noqa: E402

RATE = 15.0  # [Hz]
CAMERAS = ("exterior_image_1_left", "wrist_image_left")
STEERING_PERIOD = 0.5  # [s] between requests; every accepted one is inferred from at once
SAMPLE_PERIOD = 5.0  # [s] between looks at the memory
STILL = 1e-5
"""Of an action's [-1, 1] that the policy uses: an hour of its one-sided drift stays in the arm's
workspace."""
FLAT, FLAT_MB = 0.02, 2.0
OWNER = "soak_steering"


class Repeating(threading.Thread):
    """Calls `work` every `period` [s] of a steady clock until `end`."""

    def __init__(self, work: Callable[[], None], period: float) -> None:
        super().__init__(daemon=True)
        self._work, self._period, self._ended = work, period, threading.Event()
        self.failure: BaseException | None = None
        self.start()

    def run(self) -> None:
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due += self._period
            try:
                self._work()
            except BaseException as error:  # told by `end`
                self.failure = error
                return

    def end(self) -> None:
        """Stop; raise what ended it before."""
        self._ended.set()
        self.join()
        if self.failure is not None:
            raise self.failure


class Cameras:
    """Publishes pictures, stamped when they are sent."""

    def __init__(self) -> None:
        self._context = Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node("soak_cameras", context=self._context)
        self._publishers = [
            self._node.create_publisher(Image, f"observation/image/{name}", qos.SENSOR)
            for name in CAMERAS
        ]
        draw = np.random.default_rng(0)
        self._pictures = draw.integers(0, 256, (8, 180, 320, 3), np.uint8)
        self._sent = 0
        self._thread = Repeating(self._send, 1 / RATE)

    def _send(self) -> None:
        self._sent += 1
        picture = self._pictures[self._sent % len(self._pictures)]
        for publisher in self._publishers:
            publisher.publish(to_image(picture, to_header(time.time_ns())))

    def close(self) -> None:
        self._thread.end()
        self._node.destroy_node()
        self._context.try_shutdown()


class SteeringLoad:
    """Clamps one feature to ever other values and times the requests."""

    def __init__(self) -> None:
        self.milliseconds: list[float] = []
        self.refused: list[str] = []
        self._client = Client(OWNER)
        self._thread = Repeating(self._steer, STEERING_PERIOD)

    def _steer(self) -> None:
        value = 0.1 * (1 + len(self.milliseconds) % 9)
        edit = Edit(3, Mode.CLAMP, value, rehearsal.SITE, Unit.OBSERVED_MAX)
        started = time.perf_counter()
        try:
            self._client.set_steering([edit])
        except VlaSaeError as refusal:
            self.refused.append(str(refusal))
            return
        self.milliseconds.append(1e3 * (time.perf_counter() - started))

    def close(self) -> None:
        self._thread.end()
        self._client.close()


@dataclass
class Memory:
    """What every process holds [MB], sampled."""

    samples: list[dict[str, float]] = field(default_factory=list)

    def look(self) -> None:
        self.samples.append(resident_megabytes())

    def first_and_last(self) -> dict[str, list[float]]:
        """Return name -> [median of the first tenth, median of the last tenth]."""
        tenth = max(1, len(self.samples) // 10)
        parts = (self.samples[:tenth], self.samples[-tenth:])
        return {
            name: [
                round(float(np.median([each.get(name, 0.0) for each in part])), 1) for part in parts
            ]
            for name in self.samples[-1]
        }


def run_windows(client: Client, minutes: float, windows: int) -> dict[str, object]:
    """Run the episodes and return the numbers that the bag does not tell."""
    client.wait_until_ready(recording=True)
    cameras, load, memory = Cameras(), SteeringLoad(), Memory()
    sampler = Repeating(memory.look, SAMPLE_PERIOD)
    steps = round(minutes * 60 * RATE / windows)
    rows, steps_by_episode, stops = [], {}, []
    _enable(client)
    before, started = processor_seconds(), time.monotonic()
    for _ in range(windows):
        first, left, held, ticks = len(load.milliseconds), steps, 0, 0
        while left > 0:
            try:
                result = client.run_episode(
                    "", -1, -1, instruction="soak", max_steps=left, timeout=2 * left / RATE + 60
                )
                steps_by_episode[result.episode_id] = result.steps
                left, held = left - result.steps, held + result.held_ticks
                ticks += result.steps
            except VlaSaeError as stopped:
                stops.append(str(stopped))
                print(stopped, flush=True)
                done = time.monotonic() - started - len(rows) * steps / RATE
                left = steps - round(done * RATE)
                _enable(client, recover=True)
        row = {"ticks of whole episodes": ticks, "held": held}
        taken = load.milliseconds[first:] or [np.nan]
        row |= {
            "requests": len(load.milliseconds) - first,
            "request p50, p99 [ms]": [round(float(v), 2) for v in np.percentile(taken, (50, 99))],
            "load average": round(os.getloadavg()[0], 1),
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
    seconds = time.monotonic() - started
    used = processor_seconds()
    client.disable_robot()
    sampler.end()
    load.close()
    cameras.close()
    return {
        "seconds": round(seconds, 1),
        "windows": rows,
        "stops": stops,
        "refused or unanswered requests": load.refused,
        "accepted requests": len(load.milliseconds),
        "memory at first and at last [MB]": memory.first_and_last(),
        "share of a core": {
            name: round((spent - before.get(name, 0.0)) / seconds, 3)
            for name, spent in used.items()
        },
        "steps by episode": steps_by_episode,
        "recorder": client.stop_recording(),
    }


def _enable(client: Client, recover: bool = False) -> None:
    """Let the arm move, as soon as the bridge lets it."""
    for attempt in range(20):
        try:
            if recover:
                client.recover_robot()
            client.enable_robot()
            return
        except VlaSaeError as refusal:
            if attempt == 19:
                raise
            print(refusal, flush=True)
            time.sleep(1.0)


def lost(folder: Path, steps_by_episode: dict[str, int], accepted: int) -> dict[str, object]:
    """Return what is missing in the bag."""
    with open_bag(folder, None) as bag:
        ticks: dict[str, set[int]] = defaultdict(set)
        for _, each in messages(bag, "executed_action"):
            ticks[each.episode_id].add(each.step)
        inferences = {each.inference for _, each in messages(bag, "policy/features")}
        events = sum(
            each.kind == EventKind.SET and each.owner == OWNER
            for _, each in messages(bag, "steering/events")
        )
        return {
            "ticks in the bag": sum(map(len, ticks.values())),
            "ticks missing": sum(
                len(set(range(steps)) - ticks[episode])
                for episode, steps in steps_by_episode.items()
            ),
            "inferences in the bag": len(inferences),
            "inferences missing": max(inferences) - min(inferences) + 1 - len(inferences),
            "events missing": accepted - events,
            "findings": list(bag.findings.in_words()),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--windows", type=int, default=6)
    parser.add_argument("--out", type=Path, help="file for the numbers as JSON")
    parser.add_argument("--folder", type=Path, help="keeps bag and logs")
    args = parser.parse_args()
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    with tempfile.TemporaryDirectory() as name:
        folder = (args.folder or Path(name)).absolute()
        os.environ["XDG_CONFIG_HOME"] = str(folder / "settings")
        rehearsal.REACH = STILL
        policy, _ = rehearsal.ensure_droid_policy(folder / "tiny")
        system = robot_system(
            {
                "policy": str(policy),
                "mode": "simulated",
                "panel": True,
                "max_steps": round(args.minutes * 60 * RATE) + 1,
                "record_folder": str(folder / "bags"),
                "audit_folder": str(folder / "audit"),
            }
        )
        numbers = drive(
            system,
            folder / "log",
            "soak",
            lambda client: run_windows(client, args.minutes, args.windows),
        )
        print(json.dumps(numbers), flush=True)
        (bag,) = (folder / "bags").iterdir()
        numbers |= lost(bag, numbers["steps by episode"], numbers["accepted requests"])
    text = json.dumps(numbers, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")
    return int(not passed(numbers))


def passed(numbers: dict) -> bool:
    """Whether nothing was lost and no process's memory grew."""
    held = numbers["memory at first and at last [MB]"].values()
    grown = any(last - first > max(FLAT * first, FLAT_MB) for first, last in held)
    missing = [numbers[f"{what} missing"] for what in ("ticks", "inferences", "events")]
    return not (grown or any(missing) or numbers["refused or unanswered requests"])


if __name__ == "__main__":
    sys.exit(main())
