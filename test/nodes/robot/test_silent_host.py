"""A control box that answers the handshake and then nothing, to a bridge as a process."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from patience import PATIENCE, eventually
from strict_arm import loopback, strict_robot

from vla_sae_ros.robot.strict_sim.server import _PORT

pytestmark = pytest.mark.slow


@contextmanager
def silent_peer(host: str) -> Iterator[list[socket.socket]]:
    """Accept connections and say nothing; they stay open afterwards, as after a power cut."""
    accepted: list[socket.socket] = []
    server = socket.create_server((host, _PORT))

    def accept() -> None:
        while True:
            try:
                accepted.append(server.accept()[0])
            except OSError:
                return

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield accepted
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(PATIENCE)


def test_a_bridge_says_what_it_waits_for_finds_a_good_robot_later_and_ends_when_told(
    tmp_path: Path,
) -> None:
    host, log = loopback(31), tmp_path / "log"
    parameters = {"mode": "direct", "robot_ip": host, "robot": "fr3", "hand": "none"}
    given = [part for name, value in parameters.items() for part in ("-p", f"{name}:={value}")]
    module = "vla_sae_ros.nodes.robot.robot_bridge_node"
    with log.open("w") as file:
        bridge = subprocess.Popen(
            [sys.executable, "-m", module, "--ros-args", *given, "-p", "audit_folder:=''"],
            stdout=file,
            stderr=subprocess.STDOUT,
        )

    def said(words: str) -> bool:
        assert bridge.poll() is None, log.read_text()
        return words in log.read_text()

    try:
        with silent_peer(host) as accepted:
            eventually(lambda: said("Nothing answers at the robot's address"), log.read_text)
            assert accepted
        with strict_robot(31):
            eventually(lambda: said("the arm is disabled"))
            bridge.send_signal(signal.SIGINT)
            assert bridge.wait(PATIENCE) == 0, log.read_text()
    finally:
        bridge.kill()
        bridge.wait(PATIENCE)
        for each in accepted:
            each.close()
