"""One supervised process: its group, its log file, its last lines and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from vla_sae_ros.supervision.log_file import LogFile
from vla_sae_ros.systems.pythons import environment_of_another

LAST_LINES = 20
# Other people's packages warn about themselves at import; that is not for an operator to read.
QUIET = {"PYTHONWARNINGS": "ignore::DeprecationWarning,ignore::SyntaxWarning"}
DRAIN_SECONDS = 1.0  # for output that is still in the pipe when the process has ended


class SupervisedProcess:
    """A Python module run in its own process group, its output handed over line by line.

    The process dies with its parent (see child.py). The kernel ties it to the thread that
    starts it, so start processes from the main thread only.

    Args:
        on_line: called with every line of output, on a thread of this object's.
        on_end: called once, with this object, when the process has ended and was reaped and its
            group is gone; on a thread of this object's.
        python: interpreter that runs it; empty: this one.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        log_file: Path,
        on_line: Callable[[str], None],
        on_end: Callable[[SupervisedProcess], None],
        python: str = "",
    ) -> None:
        self.name = name
        self.started = time.monotonic()
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._on_line, self._on_end = on_line, on_end
        environ = environment_of_another(os.environ) if python else os.environ
        tied = ["-m", "vla_sae_ros.supervision.child", str(os.getpid())]
        # Its own group: Ctrl-C at a terminal reaches the supervisor only, which stops it in order.
        self._popen = subprocess.Popen(
            [python or sys.executable, *tied, module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
            env={**QUIET, **environ, "PYTHONUNBUFFERED": "1", "RCUTILS_COLORIZED_OUTPUT": "0"},
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, args=(log_file,), daemon=True)
        self._waiter = threading.Thread(target=self._wait, daemon=True)
        self._reader.start()
        self._waiter.start()

    @property
    def pid(self) -> int:
        """Process id, also the id of its group."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """Exit status; minus the signal's number when a signal ended it; None while it runs."""
        return self._popen.returncode

    def send(self, signal_number: int) -> None:
        """Send a signal to the whole group; nothing happens when it has ended."""
        if self.exit_code is None:
            self._signal_group(signal_number)

    def describe_end(self) -> str:
        """How it ended, in words."""
        code = self.exit_code
        if code is None:
            return "is running"
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with status {code}"

    def _signal_group(self, signal_number: int) -> None:
        try:
            os.killpg(self.pid, signal_number)
        except ProcessLookupError:
            return  # it ended between the look and the signal

    def _read(self, log_file: Path) -> None:
        assert self._popen.stdout is not None
        log = LogFile(log_file, on_failure=self._on_line)
        for line in self._popen.stdout:
            log.write(line)
            self.last_lines.append(line.rstrip("\n"))
            self._on_line(line.rstrip("\n"))
        log.close()

    def _wait(self) -> None:
        # Not reaped yet: the id still belongs to it, so its group can be cleared of grandchildren
        # without any risk of hitting a stranger.
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self._signal_group(signal.SIGKILL)
        self._popen.wait()
        self._reader.join(DRAIN_SECONDS)
        self._on_end(self)
