"""Runs a system description as processes that are logged, watched and stopped together."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue

from vla_sae_ros.supervision.console import Console
from vla_sae_ros.supervision.process import SupervisedProcess
from vla_sae_ros.supervision.ros_arguments import ros_arguments
from vla_sae_ros.systems.simulation import NodeSpec, System

REFUSED = 2
"""Exit status of a node that refused its configuration; see nodes/base/running.py."""


@dataclass(frozen=True)
class SupervisorLimits:
    """How patient the supervisor is. The three stopping times add up to less than 5 s.

    Attributes:
        interrupt, terminate, kill: [s] to wait after SIGINT, SIGTERM, SIGKILL.
        restarts: restarts of one node within `restart_window` [s]; one more ends the system.
        restart_delay: [s] between the end of a process and its restart.
    """

    interrupt: float = 3.0
    terminate: float = 1.0
    kill: float = 0.5
    restarts: int = 3
    restart_window: float = 300.0
    restart_delay: float = 1.0


@dataclass(frozen=True)
class _StopRequest:
    """Somebody asked for the end: Ctrl-C, SIGTERM or stop()."""

    why: str


@dataclass(frozen=True)
class _Works:
    """A node has logged that it works."""

    name: str


class Supervisor:
    """Starts every node of a system, reports what happens to them, and stops them together."""

    def __init__(
        self,
        system: System,
        log_folder: Path,
        console: Console | None = None,
        limits: SupervisorLimits | None = None,
    ) -> None:
        self._system = system
        self._log_folder = log_folder
        self._console = console or Console([spec.name for spec in system.nodes])
        self._limits = limits or SupervisorLimits()
        self._specs = {spec.name: spec for spec in system.nodes}
        self._running: dict[str, SupervisedProcess] = {}
        self._restarts: dict[str, deque[float]] = {name: deque() for name in self._specs}
        self._due: dict[str, float] = {}
        # A SimpleQueue may be filled from a signal handler.
        self._events: SimpleQueue[SupervisedProcess | _StopRequest | _Works] = SimpleQueue()
        self._awaited: set[str] = set()

    def run(self) -> int:
        """Run the system until it ends or is stopped, from the main thread; return an exit status.

        0: it was stopped by Ctrl-C, SIGTERM or stop(), or a node that ends the system ended with 0.
        1: a node failed and brought the system down, or had to be killed to be stopped.
        """
        self._log_folder.mkdir(parents=True, exist_ok=True)
        self._console.say(f"starting {', '.join(self._specs)}; logs in {self._log_folder}")
        with self._signals():
            try:
                for name in self._specs:
                    self._start(name)
                status = self._watch()
            finally:
                stopped_cleanly = self._stop_all()
        return status if stopped_cleanly else 1

    def stop(self, why: str = "asked to stop") -> None:
        """Ask `run` to stop everything; may be called from any thread."""
        self._events.put(_StopRequest(why))

    def _watch(self) -> int:
        """Handle events until the system has to end; return the exit status."""
        while self._running or self._due:
            event = self._next_event()
            if isinstance(event, _StopRequest):
                self._console.say(f"{event.why}: stopping everything")
                return 0
            if event is None:
                self._start_due()
                continue
            if isinstance(event, _Works):
                self._note_ready(event.name)
                continue
            status = self._ended(event)
            if status is not None:
                return status
        self._console.say("all processes have ended")
        return 0

    def _next_event(self) -> SupervisedProcess | _StopRequest | _Works | None:
        """Wait for an event; None when a restart is due."""
        wait = max(0.0, min(self._due.values()) - time.monotonic()) if self._due else None
        try:
            return self._events.get(timeout=wait)
        except Empty:
            return None

    def _start(self, name: str) -> None:
        spec = self._specs[name]
        if spec.ready:
            self._awaited.add(name)
        self._running[name] = SupervisedProcess(
            name,
            spec.module,
            ros_arguments(spec, self._system.namespace),
            self._log_folder / f"{name}.log",
            on_line=lambda line: self._heard(spec, line),
            on_end=self._events.put,
            python=spec.python,
        )

    def _heard(self, spec: NodeSpec, line: str) -> None:
        """Show a line; on the thread of the process's reader."""
        self._console.line(spec.name, line)
        if spec.ready and spec.ready in line:
            self._events.put(_Works(spec.name))

    def _note_ready(self, name: str) -> None:
        """Say so once every node that was started, or started again, works."""
        if name not in self._awaited:
            return
        self._awaited.remove(name)
        if not self._awaited:
            self._console.say(f"system ready; {self._system.next_step}")

    def _start_due(self) -> None:
        now = time.monotonic()
        for name in [name for name, due in self._due.items() if due <= now]:
            del self._due[name]
            self._console.say(f"starting {name} again")
            self._start(name)

    def _ended(self, process: SupervisedProcess) -> int | None:
        """React to the end of a process; return an exit status when the system has to end."""
        del self._running[process.name]
        spec = self._specs[process.name]
        self._report(process)
        if spec.on_exit == "ignore":
            self._console.say(f"the other processes continue without {process.name}")
            return None
        if spec.on_exit == "restart" and self._may_restart(spec, process):
            self._due[process.name] = time.monotonic() + self._limits.restart_delay
            return None
        self._console.say(f"{process.name} is needed: stopping everything")
        return 0 if process.exit_code == 0 else 1

    def _may_restart(self, spec: NodeSpec, process: SupervisedProcess) -> bool:
        if process.exit_code == REFUSED:
            self._console.say(f"{spec.name} refused its configuration: no use in a restart")
            return False
        now, recent = time.monotonic(), self._restarts[spec.name]
        while recent and now - recent[0] > self._limits.restart_window:
            recent.popleft()
        if len(recent) >= self._limits.restarts:
            self._console.say(
                f"{spec.name} was started again {len(recent)} times "
                f"within {self._limits.restart_window:.0f} s: giving up"
            )
            return False
        recent.append(now)
        return True

    def _report(self, process: SupervisedProcess) -> None:
        self._console.say(f"{process.name} {process.describe_end()}")
        # A refusal is one line, and stands just above.
        if process.exit_code not in (0, REFUSED) and process.last_lines:
            self._console.say(f"last lines of {process.name}:")
            for line in process.last_lines:
                self._console.line(process.name, f"| {line}")

    def _stop_all(self) -> bool:
        """Stop what runs, ever less gently; return whether nothing had to be killed."""
        limits = self._limits
        gentle = ((signal.SIGINT, limits.interrupt), (signal.SIGTERM, limits.terminate))
        for number, patience in gentle:
            self._signal_all(number)
            if self._all_ended(patience):
                return True
        self._signal_all(signal.SIGKILL)
        if not self._all_ended(limits.kill):
            left = ", ".join(f"{p.name} (process {p.pid})" for p in self._running.values())
            self._console.say(f"could not be stopped: {left}")
        return False

    def _signal_all(self, number: signal.Signals) -> None:
        if self._running:
            self._console.say(f"{number.name} to {', '.join(self._running)}")
        for process in self._running.values():
            process.send(number)

    def _all_ended(self, patience: float) -> bool:
        deadline = time.monotonic() + patience
        while self._running:
            try:
                event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                return False
            if isinstance(event, SupervisedProcess):
                del self._running[event.name]
                self._console.say(f"{event.name} {event.describe_end()}")
        return True

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Turn SIGINT and SIGTERM into stop requests; only the main thread may do so."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        words = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "hang-up"}
        before = {
            number: signal.signal(number, lambda *_, why=why: self.stop(why))
            for number, why in words.items()
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def dated_log_folder(root: Path = Path("out/log")) -> Path:
    """Return a folder name for the logs of a run that starts now."""
    return root / f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
