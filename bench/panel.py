"""What the panel costs: share of a core, memory, start-up, slider release to request.

    python bench/panel.py [--sizes 2048 16384 65536] [--seconds 15]

A process of its own publishes a catalogue of that many features and, 20 times a second, 128 active
ones, over DDS; the panel runs offscreen at 1480 x 900 with twelve pinned features. CPU time is that
of the panel's whole process, ROS thread included; memory is what it holds more than a panel that
has heard nothing. One process per line of the table.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

STARTED = time.time()  # before the imports: they are most of the start-up

from vla_sae_ros.environment import prepare  # noqa: E402

prepare()

import numpy as np  # noqa: E402  (after the environment)

RATE = 20.0  # [Hz]
ACTIVE = 128
PINNED = 12
SITE = "expert.1"
CACHE = os.path.join(tempfile.gettempdir(), "vla_sae_ros_bench_bytecode")


def main() -> None:
    """Print the figures as JSON, one line per size and view."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2048, 16384, 65536])
    parser.add_argument("--views", nargs="+", default=["Traces", "Raster"])
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
    elif given.measure:
        print(json.dumps(measure(given.measure, given.views[0], given.seconds)))
    else:
        subprocess.run(
            [sys.executable, "-c", "import vla_sae_ros.panel.frame.window"],
            check=True,
            env=_environment(),
        )  # leaves byte code, as any earlier start does
        for size in given.sizes:
            with child("--serve", str(size)):
                for view in given.views:
                    run("--measure", str(size), "--views", view, "--seconds", str(given.seconds))


def run(*arguments: str) -> None:
    """Run this file with an empty layout and print what it prints."""
    subprocess.run([sys.executable, __file__, *arguments], check=True, env=_environment())


@contextlib.contextmanager
def child(*arguments: str) -> Iterator[None]:
    """Run this file in the background."""
    process = subprocess.Popen([sys.executable, __file__, *arguments], env=_environment())
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def serve(size: int) -> None:
    """Speak like a policy with `size` features, until killed; accept every edit."""
    import rclpy
    from rclpy.node import Node
    from rclpy.signals import SignalHandlerOptions

    from vla_sae_ros.msg import FeatureActivations, FeatureCatalogue, FeatureInfo
    from vla_sae_ros.srv import SetSteering
    from vla_sae_ros.wire import qos
    from vla_sae_ros.wire.conversions import to_floats, to_unsigned

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # SIGTERM ends it at once
    node = Node("policy")
    catalogue = node.create_publisher(FeatureCatalogue, "policy/catalogue", qos.LATCHED)
    features = node.create_publisher(FeatureActivations, "policy/features", qos.FEATURES)
    node.create_service(SetSteering, "steering/set", lambda _, answer: _accept(answer))
    catalogue.publish(
        FeatureCatalogue(
            policy_id="bench",
            sites=[SITE],
            bundle_ids=["b"],
            dictionary_sizes=to_unsigned([size]),
            can_steer=[True],
            mean_residual_norms=to_floats([1.0]),
            features=[
                FeatureInfo(
                    site=SITE,
                    feature=f,
                    label=f"label {f}",
                    observed_max=2.0,
                    feature_class="general",
                    coverage=0.5,
                )
                for f in range(size)
            ],
        )
    )
    rng, count = np.random.default_rng(0), 0

    def speak() -> None:
        nonlocal count
        count += 1
        often = np.arange(PINNED)
        index = np.unique(np.concatenate([often, rng.choice(size, ACTIVE - PINNED, False)]))
        values = np.abs(rng.normal(1.0, 0.5, len(index)))
        message = FeatureActivations(
            site=SITE,
            inference=count,
            chunk_id=count,
            index=to_unsigned(index),
            natural=to_floats(values),
            applied=to_floats(values),
        )
        message.header.stamp = node.get_clock().now().to_msg()
        features.publish(message)

    node.create_timer(1 / RATE, speak)
    rclpy.spin(node)


def measure(size: int, view: str, seconds: float) -> dict[str, object]:
    """Open the panel, let it run, and return what it took."""
    from PyQt5.QtWidgets import QApplication

    from vla_sae_ros.panel.frame.window import PanelWidget
    from vla_sae_ros.panel.ros.ros_thread import RosThread

    app = QApplication(["bench"])
    ros = RosThread([])
    panel = PanelWidget(ros.client)
    panel.resize(1480, 900)
    panel.show()
    app.processEvents()
    startup, startup_cpu, base = time.time() - STARTED, time.process_time(), resident()
    _until(app, lambda: panel.store.columns.size == size)
    took = _catalogue_ms(panel)
    panel.store.pinned = [(SITE, feature) for feature in range(PINNED)]
    _show(panel, view)
    _until(app, lambda: len(panel.store.history) >= panel.store.history.capacity // 4)
    frames = _count_frames(panel)
    shown, cpu, begun = panel.store.history.written, time.process_time(), time.perf_counter()
    _until(app, lambda: time.perf_counter() - begun > seconds)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - begun
    result = {
        "features": size,
        "view": view,
        "inferences per s": round((panel.store.history.written - shown) / wall, 1),
        "share of a core": round(cpu / wall, 3),
        "tick p50 [ms]": round(float(np.percentile(frames, 50)), 2),
        "tick p99 [ms]": round(float(np.percentile(frames, 99)), 2),
        "base [MB]": round(base / 1e6),
        "memory over base [MB]": round((resident() - base) / 1e6, 1),
        "start-up [s]": round(startup, 2),
        "of that on the CPU [s]": round(startup_cpu, 2),
        "new catalogue in the table [ms]": round(took, 1),
        "slider release to request sent [ms]": _release_times(app, panel),
    }
    panel.stop()
    ros.close()
    return result


def resident() -> int:
    """Return this process's resident memory [bytes]."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _accept(answer):  # type: ignore[no-untyped-def]
    answer.accepted = True
    return answer


def _environment() -> dict[str, str]:
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    inherited = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }  # compiling everything is no start-up
    return {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        **inherited,
        "PYTHONPATH": folder,
        "QT_QPA_PLATFORM": "offscreen",
        "QT_LOGGING_RULES": "*=false",
        "PYTHONPYCACHEPREFIX": CACHE,
    }


def _until(app, done: Callable[[], bool], limit: float = 60.0) -> None:  # type: ignore[no-untyped-def]
    """Run Qt's own loop until something is so."""
    from PyQt5.QtCore import QEventLoop, QTimer

    loop, timer, end = QEventLoop(), QTimer(), time.monotonic() + limit
    timer.timeout.connect(lambda: loop.quit() if done() or time.monotonic() > end else None)
    timer.start(20)
    loop.exec_()
    if not done():
        raise SystemExit("the panel heard nothing of the policy, or too little")


def _catalogue_ms(panel) -> float:  # type: ignore[no-untyped-def]
    """Return how long the table takes to show the present catalogue's features anew [ms]."""
    begun = time.perf_counter()
    panel.model.reset()
    panel.table.fit_columns()
    return (time.perf_counter() - begun) * 1e3


def _show(panel, title: str) -> None:  # type: ignore[no-untyped-def]
    for tabs in panel.areas.tabs:
        titles = [tabs.tabText(index) for index in range(tabs.count())]
        if title in titles:
            tabs.setCurrentIndex(titles.index(title))


def _count_frames(panel) -> list[float]:  # type: ignore[no-untyped-def]
    """Note from now on how long each frame's work takes, painting aside [ms]."""
    times: list[float] = []
    tick = panel.tick

    def timed() -> None:
        begun = time.perf_counter()
        tick()
        times.append((time.perf_counter() - begun) * 1e3)

    panel._timer.timeout.disconnect()
    panel._timer.timeout.connect(timed)
    return times


def _release_times(app, panel) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """Release a slider again and again while data arrive; time until the request has left."""
    _until(app, lambda: panel._client.commands.offers("steering/set"))
    service = panel._client.commands._clients["steering/set"]
    call, sent = service.call_async, []

    def stamped(request):  # type: ignore[no-untyped-def]
        future = call(request)
        sent.append(time.perf_counter())
        return future

    service.call_async = stamped
    times = []
    for number in range(40):
        released = time.perf_counter()
        panel.table.committed.emit(number % PINNED, 1.0 + number / 100)
        _until(app, lambda count=number: len(sent) > count)
        times.append((sent[-1] - released) * 1e3)
    return {"p50": round(float(np.percentile(times, 50)), 2), "max": round(float(np.max(times)), 2)}


if __name__ == "__main__":
    main()
