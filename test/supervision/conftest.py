"""Fake nodes: small modules that behave well or badly, run as the supervisor runs real ones."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from patience import PATIENCE, eventually

from vla_sae_ros.supervision.console import Console
from vla_sae_ros.systems.simulation import NodeSpec, OnExit

WELL_BEHAVED = """
import signal, sys, threading
stop = threading.Event()
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: stop.set())
print("ready", *sys.argv[1:], flush=True)
stop.wait(600)
print("goodbye", flush=True)
"""

FAKES = {
    "fake_steady": WELL_BEHAVED,
    "fake_crashing": "import sys; print('about to fail'); sys.exit('the reason')",
    "fake_refusing": "import sys; print('wrong folder'); sys.exit(2)",
    "fake_twice": """
import pathlib, sys, time
print("works now", flush=True)
mark = pathlib.Path(__file__).with_suffix(".mark")
if not mark.exists():
    mark.touch()
    sys.exit(1)
time.sleep(600)
""",
    "fake_finishing": "print('done')",
    "fake_stubborn": """
import signal, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
""",
    "fake_parent": """
import subprocess, sys, time
deaf = "import signal, time; signal.signal(2, signal.SIG_IGN); print('deaf', flush=True)"
child = subprocess.Popen([sys.executable, "-c", deaf + "; time.sleep(600)"])
print("child", child.pid, flush=True)
time.sleep(600)
""",
}


class HeardConsole(Console):
    """A console that keeps its lines and lets a test wait for one."""

    def __init__(self) -> None:
        super().__init__([])
        self.lines: list[tuple[str, str]] = []
        self._changed = threading.Condition()

    def line(self, name: str, text: str) -> None:
        with self._changed:
            self.lines.append((name, text))
            self._changed.notify_all()

    def wait_for(self, name: str, start: str, count: int = 1, limit: float = PATIENCE) -> str:
        """Wait for the `count`-th line of `name` that begins with `start`; return it."""
        with self._changed:
            heard = self._changed.wait_for(lambda: len(self._of(name, start)) >= count, limit)
            assert heard, f"no {count} lines {start!r} of {name} among {self.lines}"
            return self._of(name, start)[count - 1]

    def text(self) -> str:
        """Everything that was said, one line after the other."""
        return "\n".join(f"{name}: {text}" for name, text in self.lines)

    def _of(self, name: str, start: str) -> list[str]:
        return [text for source, text in self.lines if source == name and text.startswith(start)]


@pytest.fixture
def heard() -> HeardConsole:
    return HeardConsole()


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the fake modules importable for processes that the test starts."""
    folder = tmp_path / "fakes"
    folder.mkdir()
    for name, source in FAKES.items():
        (folder / f"{name}.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.fixture
def fake(fakes: Path) -> Callable[..., NodeSpec]:
    """Return a maker of node descriptions: fake("steady", "restart") runs fake_steady."""

    def make(kind: str, on_exit: OnExit = "shutdown", name: str = "", ready: str = "") -> NodeSpec:
        return NodeSpec(name or kind, "", f"fake_{kind}", on_exit=on_exit, ready=ready)

    return make


def process_exists(pid: int) -> bool:
    """Whether a process lives (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def is_gone() -> Callable[[int], bool]:
    """Return a function that waits for the end of a process that is not our child."""

    def wait(pid: int) -> bool:
        return eventually(lambda: not process_exists(pid), f"{pid} lives")

    return wait
