"""Service requests that nobody waits for: their outcomes come as words."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

from vla_sae_ros.panel.state.mailbox import Inbox
from vla_sae_ros.panel.state.values import RequestResult
from vla_sae_ros.panel.widgets.guard import guarded

ANSWER_LIMIT = 2.0
"""[s]."""

NOT_SENT = 0
"""Ticket of a request that nobody would have answered."""

Judge = Callable[[Any], tuple[bool, str]]
"""Tells from the response whether the request was accepted, and what there is to say."""


class Requests:
    """Sends on any thread, hears answers on the ROS thread, gives up late ones."""

    def __init__(self, outcomes: Inbox[RequestResult]) -> None:
        """Put every outcome into `outcomes`."""
        self._outcomes = outcomes
        self._lock = threading.Lock()
        self._tickets = itertools.count(1)
        self._pending: dict[Any, tuple[float, Callable[[], None], str, int]] = {}

    @property
    def waiting(self) -> int:
        """Number of requests without an answer."""
        return len(self._pending)

    def send(
        self, client: Any, request: Any, words: str, judge: Judge, limit: float = ANSWER_LIMIT
    ) -> int:
        """Send and return at once the request's ticket, NOT_SENT if nobody offers the service.

        Args:
            words: what was asked for, for the outcome.
            limit: [s] after which the answer counts as missing.
        """
        if not client.service_is_ready():
            self._outcomes.put(RequestResult(False, f"{words}: not sent, no node offers it"))
            return NOT_SENT
        ticket = next(self._tickets)
        future = client.call_async(request)
        with self._lock:
            self._pending[future] = (
                time.monotonic() + limit,
                lambda: client.remove_pending_request(future),
                words,
                ticket,
            )
        future.add_done_callback(lambda done: self._answered(done, words, judge, ticket))
        return ticket

    def give_up_late_ones(self) -> None:
        """Report every request whose answer is overdue; call this now and then."""
        now = time.monotonic()
        with self._lock:
            late = {future: entry for future, entry in self._pending.items() if now > entry[0]}
            for future in late:
                del self._pending[future]
        for _, forget, words, ticket in late.values():
            forget()
            self._outcomes.put(RequestResult(False, f"{words}: no answer in time", ticket))

    @guarded()
    def _answered(self, future: Any, words: str, judge: Judge, ticket: int) -> None:
        with self._lock:
            if self._pending.pop(future, None) is None:
                return  # it was given up
        accepted, reason = judge(future.result())
        if accepted:
            text = f"{words}: {reason}" if reason else f"{words}: accepted"
        else:
            text = f"{words} REFUSED: {reason}"
        self._outcomes.put(RequestResult(accepted, text, ticket))
