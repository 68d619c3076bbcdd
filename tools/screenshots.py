"""Make the pictures of the panel in docs/: real nodes serve the demonstration policy, the real
panel shows them on a virtual screen.

    make screenshots            (or: .venv/bin/python tools/screenshots.py [--folder docs])

It needs Xvfb and one to two minutes, more on a busy machine. Leaves panel_idle.png,
panel_running.png, panel_light.png, panel_scale200.png and panel_lost.png; with --sizes also
panel_1280x800_dark.png and so on, for 1280x800, 1920x1080 and 600x800, dark and light. With
--monitor FOLDER (of vla-sae monitor fit) panel_monitor.png alone: an alarm that bypasses an edit.
With --env NAME, --policy FOLDER and perhaps --suite SUITE, as vla-sae up sim has them,
panel_<NAME>.png alone: this policy in this environment, with an edit. With
--droid-sim and --monitor FOLDER panel_tell_droid.png and panel_monitor_droid.png alone: another
instruction in the middle of an episode of the rehearsal, and the alarm that it raises. With --tell
panel_tell_libero.png and panel_told_libero.png alone: another instruction in the middle of an
episode in LIBERO, and what the hand does then. With --directions FOLDER (of vla-sae direct)
panel_directions.png alone: an edit of a direction beside the features of the shipped SAEs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

SCREEN = "3600x2400x24"
INSTALL = (
    "apt-get install xvfb libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0 "
    "libxcb-xinerama0 libxcb-xkb1 libxkbcommon-x11-0 libgl1"
)
SCENE = Path(__file__).with_name("panel_scenes.py")
SAES = sorted(Path(__file__).parents[1].glob("models/demo/sae/*/"))
"""The shipped ones."""
LIMIT = 2400.0
"""[s] for a scene: where one waits for what does not come, it says so and ends before."""
CLI = Path(sys.executable).with_name("vla-sae")


def main() -> int:
    """Return 0 when every picture was made."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1] / "docs")
    parser.add_argument("--sizes", action="store_true", help="also at usual sizes of a screen")
    parser.add_argument("--monitor", type=Path, help="a monitor: picture its alarm, nothing else")
    parser.add_argument("--droid-sim", action="store_true", help="picture the rehearsal instead")
    parser.add_argument("--tell", action="store_true", help="picture another instruction in LIBERO")
    parser.add_argument("--directions", type=Path, help="picture this bundle of directions")
    parser.add_argument("--env", help="picture another environment, nothing else")
    parser.add_argument("--suite", default="", help="of --env; default: its own")
    parser.add_argument("--policy", type=Path, help="of --env; its SAEs lie beside it")
    arguments = parser.parse_args()
    if arguments.env and not arguments.policy:
        parser.error("--env needs --policy")
    if arguments.droid_sim and arguments.monitor is None:
        parser.error("--droid-sim needs --monitor")
    folder = arguments.folder.absolute()
    if shutil.which("Xvfb") is None:
        print(f"Xvfb is missing: the pictures need a virtual screen. {INSTALL}", file=sys.stderr)
        return 3
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, virtual_screen() as display:
        environment = {
            **os.environ,
            "DISPLAY": display,
            "QT_QPA_PLATFORM": "xcb",
            "XDG_CONFIG_HOME": scratch,
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "QT_LOGGING_RULES": "*.debug=false",
            "ROS_DOMAIN_ID": os.environ.get("ROS_DOMAIN_ID") or str(random.randint(100, 200)),
        }
        if arguments.droid_sim:
            there = arguments.monitor.absolute()
            return shoot_rehearsal(folder, Path(scratch), environment, there)
        if arguments.monitor is not None:
            watched = ("--monitor", str(arguments.monitor.absolute()), "--on-alarm", "bypass")
            return shoot_scene("monitor", folder, Path(scratch), environment, watched)
        if arguments.directions is not None:
            served = ("--bundles", *map(str, SAES), str(arguments.directions.absolute()))
            return shoot_scene("directions", folder, Path(scratch), environment, served)
        if arguments.tell:
            return shoot_scene("tell", folder, Path(scratch), environment)
        if arguments.env:
            there = (arguments.env, arguments.suite, arguments.policy.absolute())
            return shoot_environment(folder, Path(scratch), environment, *there)
        return shoot(folder, Path(scratch), environment, arguments.sizes)


def shoot_scene(
    name: str,
    folder: Path,
    scratch: Path,
    environment: dict[str, str],
    extra: Sequence[str] = (),
) -> int:
    """Run the simulation with more arguments, and one scene beside it."""
    with system(scratch, environment, extra), scene(name, folder, environment) as playing:
        return 0 if ended_well(playing, LIMIT) else complain(scratch, f"the scene {name}")


def shoot_rehearsal(folder: Path, scratch: Path, environment: dict[str, str], monitor: Path) -> int:
    """Run the rehearsal of a robot, and the scene in which another instruction is told."""
    watched = ("--monitor", str(monitor), "--on-alarm", "hold")
    apart = ("--host", "127.0.0.77", "--no-record", "--audit-folder", str(scratch / "audit"))
    # As for a computer on which other things run: a picture has no need of a strict robot.
    patient = scratch / "patient.yaml"
    limits = Path(__file__).parents[1] / "config/robots/panda.yaml"
    patient.write_text(limits.read_text().replace("watchdog: 0.15", "watchdog: 0.5"))
    slow = ("--robot", str(patient), "--time-scale", "0.25", "--patience", "10")
    small = ("--width", "160", "--height", "90", "--execute-steps", "4")
    with (
        system(scratch, environment, (*watched, *apart, *slow, *small), "droid-sim"),
        scene("rehearsal", folder, environment) as playing,
    ):
        return 0 if ended_well(playing, LIMIT) else complain(scratch, "the scene rehearsal")


def shoot_environment(
    folder: Path, scratch: Path, environment: dict[str, str], env: str, suite: str, policy: Path
) -> int:
    """Run the policy in the environment, and the scene in which a feature is edited."""
    extra = ("--env", env, "--suite", suite, "--policy", str(policy))
    with (
        system(scratch, environment, extra),
        scene("environment", folder, environment, suite, env.partition(":")[0]) as playing,
    ):
        return 0 if ended_well(playing, LIMIT) else complain(scratch, "the scene environment")


def shoot(folder: Path, scratch: Path, environment: dict[str, str], sizes: bool) -> int:
    """Run the scenes; the system is stopped during the last."""
    with system(scratch, environment) as nodes:
        for name in ("desk", "scale", *(["sizes"] if sizes else [])):
            with scene(name, folder, environment) as playing:
                if not ended_well(playing, LIMIT):
                    return complain(scratch, f"the scene {name}")
        with scene("lost", folder, environment) as last:
            assert last.stdout is not None
            last.stdout.readline()  # it has drawn a connected panel, or has ended
            stop(nodes)
            if not ended_well(last, 120):
                return complain(scratch, "the scene lost")
    return 0


@contextlib.contextmanager
def scene(
    name: str, folder: Path, environment: dict[str, str], *more: str
) -> Iterator[subprocess.Popen[str]]:
    """Play one scene in a process of its own: a Qt scale lasts for a process's life."""
    playing = subprocess.Popen(
        [sys.executable, str(SCENE), name, str(folder), *more],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield playing
    finally:
        playing.kill()  # nothing where it has ended
        playing.wait(10)


def ended_well(playing: subprocess.Popen[str], limit: float) -> bool:
    """Wait for the end of a scene, `limit` [s] at most."""
    try:
        return playing.wait(limit) == 0
    except subprocess.TimeoutExpired:
        print(f"it has not ended within {limit:g} s", file=sys.stderr)
        return False


@contextlib.contextmanager
def virtual_screen() -> Iterator[str]:
    """Run Xvfb on a free display and yield the display's name."""
    reader, writer = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), "-screen", "0", SCREEN, "-nolisten", "tcp"],
        pass_fds=[writer],
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    try:
        with os.fdopen(reader) as answer:
            number = answer.readline().strip()
        if not number:
            raise SystemExit("Xvfb ended before it offered a display")
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(10)


@contextlib.contextmanager
def system(
    scratch: Path, environment: dict[str, str], extra: Sequence[str] = (), name: str = "sim"
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the simulation: policy, bridge, recorder."""
    with (scratch / "system.log").open("wb") as log:
        nodes = subprocess.Popen(
            [
                str(CLI),
                "up",
                name,
                *(["--no-autorun"] if name == "sim" else []),
                "--record-folder",
                str(scratch / "bags"),
                "--log-folder",
                str(scratch / "log"),
                *extra,
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            yield nodes
        finally:
            stop(nodes)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a process as Ctrl-C does."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def complain(scratch: Path, what: str) -> int:
    """Say what failed, with the system's last words."""
    log = (scratch / "system.log").read_text(errors="replace").splitlines()
    print(f"{what} failed; the system said last:", *log[-15:], sep="\n", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
