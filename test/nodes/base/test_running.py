from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import rclpy
from hanging_end import ended_while_it_hung
from patience import PATIENCE
from rclpy.context import Context
from rclpy.node import Node
from std_msgs.msg import Empty

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.nodes.base.running import FAILED, REFUSED, run_node, spin_until
from vla_sae_ros.wire.guarded_executor import NodeFailed


@pytest.fixture
def signals() -> Iterator[None]:
    """run_node takes the signals over for the rest of its process; a test gives them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_node_without_any_timer_stops_at_once():
    context = Context()
    rclpy.init(context=context)
    node, stop = Node("quiet", context=context), threading.Event()
    spinner = threading.Thread(target=spin_until, args=(node, stop))
    spinner.start()
    stop.set()
    spinner.join(PATIENCE)
    assert not spinner.is_alive()
    context.try_shutdown()


def test_a_node_that_cannot_go_on_ends_with_its_traceback(capsys):
    context = Context()
    rclpy.init(context=context)
    node = Node("broken", context=context)

    def fail() -> None:
        raise NodeFailed("the model is gone")

    node.create_timer(0.001, fail)
    assert spin_until(node, threading.Event()) == FAILED
    assert "NodeFailed: the model is gone" in capsys.readouterr().err
    context.try_shutdown()


def test_a_refused_configuration_ends_with_status_2_and_the_reason(signals, capsys):
    def refuse() -> Node:
        raise ConfigurationError("no policy here")

    assert run_node(refuse) == REFUSED
    assert capsys.readouterr().err == "no policy here\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_node_which_may_still_publish_and_later_ones_are_ignored(signals, number):
    last_words = []

    class Speaker(Node):
        def __init__(self) -> None:
            super().__init__("speaker")
            self.publisher = self.create_publisher(Empty, "last", 1)
            self.create_timer(0.01, lambda: os.kill(os.getpid(), number))

        def destroy_node(self) -> None:
            os.kill(os.getpid(), number)
            self.publisher.publish(Empty())
            last_words.append(self.context.ok())
            super().destroy_node()

    assert run_node(Speaker) == 0
    assert last_words == [True]


def test_a_node_that_hangs_at_its_end_is_ended_after_it_has_closed_what_it_had_open():
    """Closing takes longer than the limit, which is for what comes after it."""
    program = (
        "import os, signal, time\n"
        "from rclpy.node import Node\n"
        "from vla_sae_ros.nodes.base.running import run_node\n"
        "class Recorder(Node):\n"
        "    def __init__(self):\n"
        "        super().__init__('recorder')\n"
        "        self.create_timer(0.01, lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
        "    def destroy_node(self):\n"
        "        time.sleep(2 * own_process.LIMIT)\n"
        "        print('closed', flush=True)\n"
        "        super().destroy_node()\n"
        "run_node(Recorder)"
    )
    assert ended_while_it_hung(program).startswith("closed\nhangs\n")


def test_a_signal_while_a_model_loads_ends_the_process_in_a_few_seconds():
    """In C, where no Python handler runs: sleeping holds the main thread as loading does."""
    program = (
        "import time; from vla_sae_ros.nodes.base.running import run_node\n"
        "def load():\n"
        "    print('loading', flush=True)\n"
        "    sum(map(int, iter(lambda: 0, 1)))\n"
        "run_node(load)"
    )
    assert_it_ends(program, signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_lifecycle_request_loads_a_model_ends_it_as_soon(number):
    """The executor's thread is inside configure then, and nothing brings it back."""
    program = (
        "import sys, threading\n"
        "from vla_sae_ros.nodes.base.running import run_node\n"
        "from vla_sae_ros.nodes.policy import policy_node\n"
        "def load(*_):\n"
        "    print('loading', flush=True)\n"
        "    threading.Event().wait()\n"
        "policy_node.make_engine = load\n"
        "def make():\n"
        "    node = policy_node.PolicyNode()\n"
        "    node.create_timer(0.01, node.trigger_configure)\n"
        "    return node\n"
        "run_node(make, ['--ros-args', '-p', 'policy:=x', '-p', 'autostart:=false'])"
    )
    assert_it_ends(program, number)


def assert_it_ends(program: str, number: int) -> None:
    """Send the signal once the program loads."""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            assert process.stdout.readline() == "loading\n", process.stderr.read()
            process.send_signal(number)
            assert process.wait(PATIENCE) == 0
            assert "stopped while starting" in process.stderr.read()
        finally:
            process.kill()
