"""Faults to order, over a socket: one JSON object per line, one answer per line."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

from vla_sae_ros.core.errors import SimulationError, complaint

Handler = Callable[[dict[str, Any]], dict[str, Any]]


class RemoteServer:
    """Serves from the simulator's own loop: `poll` never blocks.

    Args:
        handle: carries out one request; a SimulationError becomes the answer {"error": ...}.
    """

    def __init__(self, host: str, port: int, handle: Handler) -> None:
        self._handle = handle
        self._socket = socket.create_server((host, port))
        self._socket.setblocking(False)
        self._clients: dict[socket.socket, bytes] = {}

    @property
    def port(self) -> int:
        """Return the port bound to, of use where 0 was asked for."""
        return int(self._socket.getsockname()[1])

    def poll(self) -> None:
        """Answer what has come."""
        try:
            client, _ = self._socket.accept()
            client.setblocking(False)
            self._clients[client] = b""
        except BlockingIOError:
            pass
        for client in list(self._clients):
            self._serve(client)

    def close(self) -> None:
        """Close the sockets."""
        for client in [*self._clients, self._socket]:
            client.close()

    def _serve(self, client: socket.socket) -> None:
        try:
            received = client.recv(65536)
        except BlockingIOError:
            return
        except ConnectionError:
            received = b""
        if not received:
            self._clients.pop(client)
            client.close()
            return
        *lines, rest = (self._clients[client] + received).split(b"\n")
        self._clients[client] = rest
        for line in lines:
            client.sendall(json.dumps(self._answer(line)).encode() + b"\n")

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            return self._handle(json.loads(line))
        except (SimulationError, ValueError) as error:
            return {"error": str(error)}


class RemoteClient:
    """Orders faults from a running strict robot.

    Raises:
        SimulationError: nobody answers.
    """

    def __init__(self, host: str, port: int, timeout: float = 5.0) -> None:
        try:
            self._socket = socket.create_connection((host, port), timeout)
        except OSError as error:
            raise SimulationError(
                complaint("No strict robot answers", f"{host}:{port}", "a running one")
            ) from error
        self._lines = self._socket.makefile("rb")

    def order(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Have something done; return the answer.

        Raises:
            SimulationError: it was refused, or the robot is gone.
        """
        try:
            self._socket.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
            line = self._lines.readline()
        except OSError as error:
            raise SimulationError(f"The strict robot is gone: {error}") from error
        if not line:
            raise SimulationError("The strict robot is gone.")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SimulationError(answer["error"])
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._lines.close()
        self._socket.close()
