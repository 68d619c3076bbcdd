"""The live loop in realtime: control rate kept, deadlines missed, steering calls while inferring.

    python bench/live_loop.py [--episodes 3]

Brings up policy, LIBERO bridge and recorder, runs episodes in realtime and, all the while, changes
one feature as fast as the service answers. Rates and counts are the bridge's own.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from tqdm import trange

from vla_sae_ros.environment import prepare

prepare()

from vla_sae_ros.action import RunEpisode  # noqa: E402  (after the environment)
from vla_sae_ros.clients.client import Client  # noqa: E402
from vla_sae_ros.core.steering import Edit, Mode, Unit  # noqa: E402
from vla_sae_ros.live.demo_settings import read_settings  # noqa: E402
from vla_sae_ros.live.driving import drive  # noqa: E402
from vla_sae_ros.resources import resource  # noqa: E402
from vla_sae_ros.systems.simulation import simulation_system  # noqa: E402

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


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()
    settings = read_settings(resource("config", "demo.yaml"))
    edit = settings.steering.edits[0]

    def script(client: Client) -> dict[str, object]:
        client.wait_until_ready()
        episodes = [_episode(client, arguments.steps, seed) for seed in trange(arguments.episodes)]
        with SteeringLoad(edit.site, edit.feature) as load:
            steered = _episode(client, arguments.steps, 0)
        return _figures(episodes, steered, load.milliseconds)

    system = simulation_system({"clock": "realtime", "autorun": False})
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(drive(system, Path(folder), "bench", script), indent=2))


def _episode(client: Client, steps: int, seed: int) -> tuple[float, RunEpisode.Result]:
    """Return (seconds from the first tick to the last, result)."""
    times: list[float] = []
    result = client.run_episode(
        "libero_object",
        0,
        40,
        seed,
        max_steps=steps,
        clock="realtime",
        on_state=lambda state: times.append(time.perf_counter()) if state.step else None,
    )
    return times[-1] - times[0], result


def _figures(
    episodes: list[tuple[float, RunEpisode.Result]],
    steered: tuple[float, RunEpisode.Result],
    milliseconds: list[float],
) -> dict[str, object]:
    steps = sum(result.steps for _, result in episodes)
    return {
        "control rate wanted [Hz]": 20.0,
        "control rate kept [Hz]": round(steps / sum(seconds for seconds, _ in episodes), 2),
        "ticks": steps,
        "missed deadlines": sum(result.missed_deadlines for _, result in episodes),
        "held ticks": sum(result.held_ticks for _, result in episodes),
        "with steering calls": {
            "control rate kept [Hz]": round(steered[1].steps / steered[0], 2),
            "calls": len(milliseconds),
            "call p50 [ms]": round(float(np.percentile(milliseconds, 50)), 2),
            "call p99 [ms]": round(float(np.percentile(milliseconds, 99)), 2),
            "dropped chunks": steered[1].dropped_chunks,
        },
    }


if __name__ == "__main__":
    main()
