"""Make the pictures of the panel in docs/: real nodes serve the demonstration policy, the real
panel shows them on a virtual screen.

    make screenshots            (or: .venv/bin/python tools/screenshots.py [--folder docs])

It needs Xvfb and one to two minutes, more on a busy machine. Leaves panel_idle.png,
panel_running.png, panel_light.png, panel_scale200.png and panel_lost.png.
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
from collections.abc import Iterator
from pathlib import Path

SCREEN = "3600x2400x24"
INSTALL = (
    "apt-get install xvfb libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0 "
    "libxcb-xinerama0 libxcb-xkb1 libxkbcommon-x11-0 libgl1"
)
SCENE = Path(__file__).with_name("panel_scenes.py")
CLI = Path(sys.executable).with_name("vla-sae")


def main() -> int:
    """Return 0 when every picture was made."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1] / "docs")
    folder = parser.parse_args().folder.absolute()
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
        return shoot(folder, Path(scratch), environment)


def shoot(folder: Path, scratch: Path, environment: dict[str, str]) -> int:
    """Run the scenes; the system is stopped between the last two."""
    with system(scratch, environment) as nodes:
        first = scene("desk", folder, environment)
        if first.wait(600) != 0:
            return complain(scratch, "the scene of the desk")
        if scene("scale", folder, environment).wait(400) != 0:
            return complain(scratch, "the scene at 200 %")
        last = scene("lost", folder, environment)
        assert last.stdout is not None
        last.stdout.readline()  # it has drawn a connected panel
        stop(nodes)
        if last.wait(60) != 0:
            return complain(scratch, "the scene of the lost connection")
    for picture in sorted(folder.glob("panel_*.png")):
        print(picture)
    return 0


def scene(name: str, folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start one scene in a process of its own: a Qt scale lasts for a process's life."""
    return subprocess.Popen(
        [sys.executable, str(SCENE), name, str(folder)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


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
def system(scratch: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the simulation: policy, bridge, recorder."""
    with (scratch / "system.log").open("wb") as log:
        nodes = subprocess.Popen(
            [
                str(CLI),
                "up",
                "sim",
                "--no-autorun",
                "--record-folder",
                str(scratch / "bags"),
                "--log-folder",
                str(scratch / "log"),
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
        process.wait(30)


def complain(scratch: Path, what: str) -> int:
    """Say what failed, with the system's last words."""
    log = (scratch / "system.log").read_text(errors="replace").splitlines()
    print(f"{what} failed; the system said last:", *log[-15:], sep="\n", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
