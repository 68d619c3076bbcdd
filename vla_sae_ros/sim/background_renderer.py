"""Drawing the states of a MuJoCo scene in a process of its own, while the scene is stepped on."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import mujoco
import numpy as np

from vla_sae_ros.core.errors import SimulationError
from vla_sae_ros.sim.drawn_state import block_size, write_state
from vla_sae_ros.sim.environment import ImageArray
from vla_sae_ros.sim.render_process import DRAW, DRAWN, READY, Job

RESTARTS = 2
"""Times that a process which ended is started again within one episode."""
PROCESS = (sys.executable, "-m", "vla_sae_ros.sim.render_process")


def ignore() -> None:
    """Do nothing: nobody waits for pictures."""


class RenderProcess:
    """Draws one compiled scene in one process; a BackgroundRenderer, see there.

    Args:
        model, data: of MuJoCo; `submit` reads them on the thread that calls it.
        cameras: names outside -> names in the model.
        size: [pixels] height and width of a picture.
        view: which groups are drawn (MjvOption).
        reflections: whether surfaces reflect.
        start_limit_s: longest wait for the process to be ready, seconds.
        draw_limit_s: longest drawing, seconds; after it the process is killed and started again.
        process: command line before the job; tests start another.
    """

    def __init__(
        self,
        model: Any,
        data: Any,
        cameras: Mapping[str, str],
        size: int,
        view: Any,
        reflections: bool,
        start_limit_s: float,
        draw_limit_s: float,
        process: Sequence[str] = PROCESS,
    ) -> None:
        self._model, self._data = model, data
        self._start_limit_s, self._draw_limit_s = start_limit_s, draw_limit_s
        self._cameras, self._command = tuple(cameras), tuple(process)
        self._job = Job(
            model_file=-1,  # there is one only while a process starts
            block_file=os.memfd_create("pictures"),
            state_bytes=block_size(model, data),
            cameras=tuple(cameras.values()),
            size=size,
            reflections=reflections,
            geom_groups=tuple(int(group) for group in view.geomgroup),
            site_groups=tuple(int(group) for group in view.sitegroup),
        )
        os.ftruncate(self._job.block_file, self._job.block_bytes)
        self._block = memoryview(mmap.mmap(self._job.block_file, self._job.block_bytes))
        self._pictures = self._job.pictures(self._block)
        self._changed = threading.Condition()
        self._wake: Callable[[], None] = ignore
        self._child: subprocess.Popen[bytes] | None = None
        self._ready = self._closed = self._drawn = self._attended = False
        self._drawing_since: float | None = None
        self._failure = ""
        self._restarts, self._trouble = 0, ""

    @property
    def restarts(self) -> int:
        return self._restarts

    @property
    def trouble(self) -> str:
        return self._trouble

    def begin(self, wake: Callable[[], None]) -> None:
        """Make ready for an episode; `wake` is called, on another thread, when there is news.

        Raises SimulationError when the process does not start within the limit.
        """
        self._discard()
        with self._changed:
            self._restarts, self._trouble, self._wake = 0, "", wake
        self.start()
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._failure, self._start_limit_s)
            failure = self._failure
            if not self._ready and not failure:
                failure = f"The rendering process was not ready in {self._start_limit_s:g} s."
        if failure:
            self._kill()
            raise SimulationError(f"{failure} {ADVICE}")

    def start(self) -> None:
        """Start the process, unless it runs, and wait for nothing."""
        with self._changed:
            if self._attended and not self._failure:
                return
            self._failure, self._attended = "", True
        threading.Thread(target=self._attend, name="renderer", daemon=True).start()

    def submit(self) -> bool:
        """Hand over the present state; returns at once, False while another is being drawn."""
        with self._changed:
            if self._closed or self._drawing_since is not None or self._failure:
                return False
            write_state(self._model, self._data, self._block)
            self._drawing_since = time.monotonic()
            if self._ready:
                self._send()
        return True

    def collect(self, timeout: float = 0.0) -> dict[str, ImageArray] | None:
        """Return the pictures of the state handed over, once; None when they are not there.

        Raises SimulationError when the process ended too often.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._drawn or self._failure, timeout)
            if self._drawn:
                self._drawing_since, self._drawn = None, False
                return dict(
                    zip(self._cameras, [view.copy() for view in self._pictures], strict=True)
                )
            since, failure = self._drawing_since, self._failure
        if failure:
            raise SimulationError(f"{failure} {ADVICE}")
        if since is not None and time.monotonic() - since > self._draw_limit_s:
            self._drawing_since = time.monotonic()
            self._kill()
        return None

    def close(self) -> None:
        """End the process; calling it twice is harmless."""
        with self._changed:
            if self._closed:
                return
            self._closed, self._wake = True, ignore
        self._kill()
        os.close(self._job.block_file)

    def _discard(self) -> None:
        """Let go of the last episode's last picture."""
        with self._changed:
            self._wake = ignore
            waiting = self._drawing_since is not None and not self._failure
        if waiting:
            with contextlib.suppress(SimulationError):  # what it says is of the last episode
                self.collect(self._draw_limit_s)
        with self._changed:
            self._drawing_since, self._drawn = None, False

    def _attend(self) -> None:
        """Start the process and read its answers, again when it ends before its time."""
        while True:
            model_file = _compiled(self._model)
            try:
                with self._changed:
                    if self._closed:
                        return
                    child = self._child = self._start(model_file)
            except OSError as error:
                self._fail(f"The rendering process cannot be started: {error}.")
                return
            finally:
                os.close(model_file)
            assert child.stdout is not None
            with child:
                for line in iter(child.stdout.readline, b""):
                    self._answered(line.decode().strip())
            if not self._is_replaced(f"The rendering process ended {_how(child.returncode)}."):
                return

    def _is_replaced(self, reason: str) -> bool:
        """Note that the process ended; return whether another one is to be started."""
        with self._changed:
            self._ready = False
            if self._closed:
                return False
            self._trouble = reason
            if self._restarts < RESTARTS:
                self._restarts += 1
                return True
        self._fail(f"{reason} It was started again {RESTARTS} times before.")
        return False

    def _fail(self, reason: str) -> None:
        with self._changed:
            self._failure = reason
            self._changed.notify_all()
            self._wake()

    def _start(self, model_file: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self._command, replace(self._job, model_file=model_file).to_text()],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(model_file, self._job.block_file),
            start_new_session=True,  # a Ctrl-C is for this process, which then ends the other
        )

    def _answered(self, line: str) -> None:
        with self._changed:
            if line == READY:
                self._ready = True
                if self._drawing_since is not None:  # its predecessor ended over this state
                    self._send()
            elif line == DRAWN:
                self._drawn = True
            self._changed.notify_all()
            self._wake()

    def _send(self) -> None:
        child = self._child
        assert child is not None and child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `_attend` sees that it ended, and sends again
            child.stdin.write(f"{DRAW}\n".encode())

    def _kill(self) -> None:
        child = self._child
        if child is not None and child.poll() is None:
            child.kill()


ADVICE = "See its messages in the log; --clock lockstep draws without it."


class MujocoBackgroundRenderer:
    """A BackgroundRenderer with a process for every camera: pictures are as old as the slowest's.

    Args:
        cameras: names outside -> names in the model.
        make: returns the process that draws these cameras.
    """

    def __init__(
        self, cameras: Mapping[str, str], make: Callable[[Mapping[str, str]], RenderProcess]
    ) -> None:
        self._processes = {name: make({name: camera}) for name, camera in cameras.items()}
        self._drawn: dict[str, ImageArray] = {}
        self._under_way = False

    @property
    def restarts(self) -> int:
        return sum(process.restarts for process in self._processes.values())

    @property
    def trouble(self) -> str:
        return " ".join(filter(None, (process.trouble for process in self._processes.values())))

    def begin(self, wake: Callable[[], None]) -> None:
        """See RenderProcess.begin."""
        self._drawn, self._under_way = {}, False
        for process in self._processes.values():
            process.start()
        for process in self._processes.values():
            process.begin(wake)

    def submit(self) -> bool:
        """See BackgroundRenderer.submit."""
        if self._under_way:
            return False
        self._under_way = all([process.submit() for process in self._processes.values()])
        return self._under_way

    def collect(self, timeout: float = 0.0) -> dict[str, ImageArray] | None:
        """See BackgroundRenderer.collect."""
        until = time.monotonic() + timeout
        for name, process in self._processes.items():
            if name not in self._drawn:  # the others have nothing more to draw
                self._drawn |= process.collect(max(0.0, until - time.monotonic())) or {}
        if len(self._drawn) < len(self._processes):
            return None
        drawn, self._drawn, self._under_way = self._drawn, {}, False
        return drawn

    def close(self) -> None:
        """End the processes; calling it twice is harmless."""
        for process in self._processes.values():
            process.close()


def _compiled(model: Any) -> int:
    """Return the descriptor of a file in memory with the compiled model."""
    file = os.memfd_create("model")
    size = mujoco.mj_sizeModel(model)
    os.ftruncate(file, size)
    # MuJoCo lets go of Python's lock meanwhile: a scene can have 250 MB.
    mujoco.mj_saveModel(model, None, np.frombuffer(mmap.mmap(file, size), np.uint8))
    return file


def _how(status: int) -> str:
    if status < 0:
        return f"by {signal.Signals(-status).name}"
    return f"with status {status}"
