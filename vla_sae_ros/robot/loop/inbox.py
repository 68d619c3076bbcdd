"""Requests of clients, on their way to the control thread."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from vla_sae_ros.robot.machine.events import Event, Kind


@dataclass
class Request:
    """An event that somebody posted, and the answer they wait for."""

    event: Event
    answer: Future[None] = field(default_factory=Future)
    obeyed: threading.Event = field(default_factory=threading.Event)
    """Of a stop: the driver has been told."""


class Inbox:
    """Tickets and requests; stops come out first.

    A ticket is taken when something is asked for, which may be long before it can be posted: an
    enable waits for its owner's heartbeat. A stop or a disable in between voids it.
    """

    def __init__(self) -> None:
        self._tickets = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: SimpleQueue[Request] = SimpleQueue()
        self._last_stop = 0
        self.came = threading.Event()
        """Set whenever something has been posted."""

    @property
    def last_stop(self) -> int:
        """Return the highest ticket of a stop that was ever posted."""
        return self._last_stop

    def ticket(self) -> int:
        """Return the number of a request that is asked for now."""
        return next(self._tickets)

    def post(self, event: Event) -> Request:
        """Hand an event over; from any thread."""
        request = Request(event)
        if event.kind is Kind.STOP:
            with self._lock:
                self._last_stop = max(self._last_stop, event.asked)
        self._waiting.put(request)
        self.came.set()
        return request

    def take(self) -> list[Request]:
        """Return what was posted, stops first; on the control thread."""
        taken: list[Request] = []
        while True:
            try:
                taken.append(self._waiting.get_nowait())
            except Empty:
                return sorted(taken, key=lambda request: request.event.kind is not Kind.STOP)
