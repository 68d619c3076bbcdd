"""How every node's process starts, spins and ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from vla_sae_ros.core.errors import VlaSaeError
from vla_sae_ros.environment import check_domain
from vla_sae_ros.nodes.base.callback_report import CallbackReport
from vla_sae_ros.own_process import own_process
from vla_sae_ros.wire.guarded_executor import GuardedExecutor
from vla_sae_ros.wire.leaving import leave_graph

FAILED = 1
"""Exit status when the node could not go on (NodeFailed)."""
REFUSED = 2
"""Exit status when the node refused its configuration."""
GRACE = 2.0
"""[s] that a node which is being made, or loads, has to come to its end after a signal."""
_TURN = 0.1  # [s] between two looks at the executor's thread


def run_node(make_node: Callable[[], Node], args: list[str] | None = None) -> int:
    """Make the node, spin it until SIGINT or SIGTERM, destroy it; return the exit status.

    A VlaSaeError while the node is made ends the process with its message and status 2. A signal
    while it is made, as long as a model loads, ends the process within GRACE and a little. The
    node's destroy_node still finds a valid context: it may publish. Signals that follow the first
    are ignored: interrupting rclpy while it destroys a node aborts the process. If Fast DDS hangs
    when all is closed, SIGALRM ends the process: status -14, or 142 as a shell tells it.
    """
    with own_process():
        return _run(make_node, args)


def _run(make_node: Callable[[], Node], args: list[str] | None) -> int:
    stop = threading.Event()
    # rclpy's own handlers would invalidate the context before the node could say its last words
    # (a latched state, the end of a bag).
    try:
        check_domain()
    except VlaSaeError as error:
        print(error, file=sys.stderr, flush=True)
        return REFUSED
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with _ended_by_a_signal():
            node = make_node()
    except VlaSaeError as error:
        print(error, file=sys.stderr, flush=True)
        try_shutdown()
        return REFUSED
    report = CallbackReport(node)
    try:
        return spin_until(node, stop)
    finally:
        report.destroy()
        leave_graph(node)
        try_shutdown()  # the next rclpy.init makes another context


@contextlib.contextmanager
def _ended_by_a_signal() -> Iterator[None]:
    """End the process GRACE after a signal, unless the block has ended by then.

    The main thread may be inside a library for as long as a model loads, where no Python handler
    runs; the interpreter's wakeup file is written to all the same.
    """
    reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.setblocking(end is reader)
    made = threading.Event()

    def watch() -> None:
        if reader.recv(1) and not made.wait(GRACE):
            _end_now()

    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=watch, name="signals", daemon=True).start()
    try:
        yield
    finally:
        made.set()
        signal.set_wakeup_fd(before)
        writer.close()  # ends the thread


def exit_at_once(status: int) -> NoReturn:
    """End the process with this status, after run_node has ended what there is to end.

    With a simulator or torch loaded, taking the interpreter down in order takes seconds.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def spin_until(node: Node, stop: threading.Event) -> int:
    """Spin the node on a thread of its own until the event is set; return the exit status.

    Then a method `before_end` of the node, if it has one, is called while callbacks still run.
    The callback at work comes to its end, unless the node says by `loads` that it loads a model:
    then the process ends after GRACE, as nothing can be taken down under it.
    The main thread only waits: a Python signal handler cannot run while it is inside rclpy's wait.
    """
    executor = GuardedExecutor(context=node.context)
    executor.add_node(node)
    ending = threading.Event()
    failures: list[BaseException] = []

    def spin() -> None:
        try:
            # Not spin_until_future_complete: it adds a callback to the future at every turn.
            while not ending.is_set() and node.context.ok():
                executor.spin_once()
        except BaseException as error:  # reported by the main thread
            failures.append(error)
        finally:
            stop.set()

    thread = threading.Thread(target=spin, name="executor", daemon=True)
    thread.start()
    stop.wait()
    last_words = getattr(node, "before_end", None)
    if last_words is not None and not failures:
        last_words()  # while callbacks still run: a goal gets its result
    ending.set()
    executor.create_task(lambda: None)  # ends the turn that waits
    _wait_for_the_turn(thread, node)
    executor.remove_node(node)
    executor.shutdown()
    for error in failures:
        traceback.print_exception(error)
    return FAILED if failures else 0


def _wait_for_the_turn(thread: threading.Thread, node: Node) -> None:
    asked = time.monotonic()
    while thread.is_alive():
        thread.join(_TURN)
        if getattr(node, "loads", False) and time.monotonic() - asked > GRACE:
            _end_now()


def _end_now() -> NoReturn:
    print("stopped while starting", file=sys.stderr, flush=True)
    os._exit(0)
