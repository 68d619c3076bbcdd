"""The live loop in realtime: control rate kept, deadlines missed, age of the pictures, steering
calls while inferring.

    python bench/live_loop.py [--seconds 60]

Brings up policy, LIBERO bridge and recorder, runs episodes in realtime, one after the other, until
their ticks fill the seconds, and changes one feature in one more as fast as the service answers.
Rates, counts, ages and lateness are the bridge's own. Processor time is that of the episodes
without steering calls; where other programs run, it and the ratios are what can be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vla_sae_ros.environment import prepare

prepare()

import rclpy  # noqa: E402  (after the environment)
from rclpy.context import Context  # noqa: E402

from vla_sae_ros.action import RunEpisode  # noqa: E402
from vla_sae_ros.clients.client import Client  # noqa: E402
from vla_sae_ros.core.picture_record import QUALITIES  # noqa: E402
from vla_sae_ros.core.steering import Edit, Mode, Unit  # noqa: E402
from vla_sae_ros.live.demo_settings import read_demo_settings  # noqa: E402
from vla_sae_ros.live.driving import drive  # noqa: E402
from vla_sae_ros.msg import EpisodeState, ExecutedAction  # noqa: E402
from vla_sae_ros.nodes.base.running import spin_until  # noqa: E402
from vla_sae_ros.resources import resource  # noqa: E402
from vla_sae_ros.systems.simulation import simulation_system  # noqa: E402
from vla_sae_ros.wire import qos  # noqa: E402

TICK = 1.0 / 20.0  # [s]
PAUSE = 0.02  # [s] between steering calls: an operator's panel sends at 10 to 20 Hz


class SteeringLoad:
    """Changes one feature again and again on its own thread, and times every call."""

    def __init__(self, site: str, feature: int) -> None:
        self._site, self._feature = site, feature
        self.milliseconds: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> SteeringLoad:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with Client("bench_steering") as client:
            value = 0.0
            while not self._stop.wait(PAUSE):
                value = 0.5 - value
                edit = Edit(self._feature, Mode.ADD, value, self._site, Unit.OBSERVED_MAX)
                started = time.perf_counter()
                client.set_steering([edit])
                self.milliseconds.append((time.perf_counter() - started) * 1e3)


class Ticks:
    """How late every executed tick began, as the bridge tells; on a thread of its own."""

    def __init__(self) -> None:
        self.lateness: list[float] = []
        self._context = Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node("bench_ticks", context=self._context)
        self._node.create_subscription(
            ExecutedAction, "executed_action", self._executed, qos.EXECUTED
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=spin_until, args=(self._node, self._stop))

    def __enter__(self) -> Ticks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._node.destroy_node()
        self._context.try_shutdown()

    def _executed(self, message: ExecutedAction) -> None:
        self.lateness.append(message.lateness)


def processor_seconds() -> dict[str, float]:
    """Return the seconds of processor time of every process below this one, by its module."""
    found: dict[str, float] = {}
    tree = {os.getpid()}
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            words = (folder / "cmdline").read_text().split("\0")
        except OSError:  # it has just ended
            continue
        if int(fields[1]) not in tree:
            continue
        tree.add(int(folder.name))
        modules = [word for word in words if word.startswith("vla_sae_ros.")] or words
        name = modules[-1].rpartition(".")[2]
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        found[name] = found.get(name, 0.0) + seconds
    return found


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of ticks, at least")
    parser.add_argument("--steps", type=int, default=280, help="control steps per episode at most")
    parser.add_argument("--render-quality", choices=QUALITIES, default="full")
    parser.add_argument("--policy", default="", help="default: the demonstration policy")
    arguments = parser.parse_args()
    settings = read_demo_settings(resource("config", "demo.yaml"))
    edit = settings.steering.edits[0]

    def script(client: Client) -> dict[str, object]:
        client.wait_until_ready()
        _episode(client, 20, 0)  # builds the scene, starts what is started once
        with Ticks() as ticks:
            before = processor_seconds()
            episodes: list[Episode] = []
            with tqdm(total=arguments.seconds, unit="s") as bar:
                while sum(episode.seconds for episode in episodes) < arguments.seconds:
                    episodes.append(_episode(client, arguments.steps, len(episodes)))
                    bar.update(episodes[-1].seconds)
            used = {
                name: seconds - before.get(name, 0.0)
                for name, seconds in processor_seconds().items()
            }
        with SteeringLoad(edit.site, edit.feature) as load:
            steered = _episode(client, arguments.steps, 0)
        pictures = {"pictures": arguments.render_quality}
        figures = _figures(episodes, ticks.lateness, used)
        return pictures | figures | _steered(steered, load.milliseconds)

    system = simulation_system(
        {
            "clock": "realtime",
            "autorun": False,
            "render_quality": arguments.render_quality,
            "policy": arguments.policy,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(drive(system, Path(folder), "bench", script), indent=2))


@dataclass
class Episode:
    """What the bridge told of one: seconds from the first tick to the last, its end, ages [s]."""

    seconds: float
    result: RunEpisode.Result
    ages: list[float]
    observations: int


def _episode(client: Client, steps: int, seed: int) -> Episode:
    times: list[float] = []
    ages: dict[int, float] = {}

    def told(state: EpisodeState) -> None:
        if state.step:
            times.append(time.perf_counter())
        if state.observations:
            ages[state.observations] = state.observation_age

    result = client.run_episode(
        "libero_object", 0, 40, seed, max_steps=steps, clock="realtime", on_state=told
    )
    return Episode(times[-1] - times[0], result, list(ages.values()), max(ages))


def _figures(
    episodes: list[Episode], lateness: list[float], used: dict[str, float]
) -> dict[str, object]:
    ticks = sum(episode.result.steps for episode in episodes)
    seconds = sum(episode.seconds for episode in episodes)
    ages = np.array([age for episode in episodes for age in episode.ages])
    late = np.array(lateness) * 1e3
    return {
        "load average": os.getloadavg()[0],
        "control rate wanted [Hz]": round(1 / TICK),
        "control rate kept [Hz]": round(ticks / seconds, 2),
        "ticks": ticks,
        "seconds": round(seconds, 1),
        "episodes": len(episodes),
        "missed deadlines": sum(episode.result.missed_deadlines for episode in episodes),
        "held ticks": sum(episode.result.held_ticks for episode in episodes),
        "tick begins late, p50, p99, most [ms]": [
            round(float(value), 2) for value in (*np.percentile(late, (50, 99)), late.max())
        ],
        "jitter: change of that from tick to tick, p99 [ms]": round(
            float(np.percentile(np.abs(np.diff(late)), 99)), 2
        ),
        "observations [Hz]": round(sum(e.observations for e in episodes) / seconds, 2),
        "age of an observation, p50, p99 [ms]": [
            round(float(value)) for value in np.percentile(ages * 1e3, (50, 99))
        ],
        "processor time per tick [ms]": {
            name: round(1e3 * spent / ticks, 1) for name, spent in used.items() if spent > 0.1
        },
    }


def _steered(episode: Episode, milliseconds: list[float]) -> dict[str, object]:
    return {
        "with steering calls": {
            "control rate kept [Hz]": round(episode.result.steps / episode.seconds, 2),
            "calls": len(milliseconds),
            "call p50 [ms]": round(float(np.percentile(milliseconds, 50)), 2),
            "call p99 [ms]": round(float(np.percentile(milliseconds, 99)), 2),
            "dropped chunks": episode.result.dropped_chunks,
        },
    }


if __name__ == "__main__":
    main()
