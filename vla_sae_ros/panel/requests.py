"""Service requests that nobody waits for: their outcomes come as words."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from vla_sae_ros.panel.guard import guarded
from vla_sae_ros.panel.mailbox import Inbox
from vla_sae_ros.panel.values import Outcome

ANSWER_LIMIT = 2.0
"""[s]."""


class Requests:
    """Sends on any thread, hears answers on the ROS thread, gives up late ones."""

    def __init__(self, outcomes: Inbox[Outcome]) -> None:
        """Put every outcome into `outcomes`."""
        self._outcomes = outcomes
        self._lock = threading.Lock()
        self._pending: dict[Any, tuple[float, Callable[[], None]]] = {}

    @property
    def waiting(self) -> int:
        """Number of requests without an answer."""
        return len(self._pending)

    def send(
        self, client: Any, request: Any, words: str, judge: Callable[[Any], tuple[bool, str]]
    ) -> bool:
        """Send and return at once; False if nobody offers the service.

        `judge` tells from the response whether the request was accepted, and the reason.
        """
        if not client.service_is_ready():
            self._outcomes.put(Outcome(False, f"{words}: not sent, no policy node offers it"))
            return False
        future = client.call_async(request)
        with self._lock:
            self._pending[future] = (
                time.monotonic() + ANSWER_LIMIT, lambda: client.remove_pending_request(future))
        future.add_done_callback(lambda done: self._answered(done, words, judge))
        return True

    def give_up_late_ones(self) -> None:
        """Report every request whose answer is overdue; call this now and then."""
        now = time.monotonic()
        with self._lock:
            late = [(future, forget) for future, (limit, forget) in self._pending.items()
                    if now > limit]
            for future, _ in late:
                del self._pending[future]
        for _, forget in late:
            forget()
            self._outcomes.put(
                Outcome(False, f"no answer from the policy in {ANSWER_LIMIT:g} s"))

    @guarded()
    def _answered(
        self, future: Any, words: str, judge: Callable[[Any], tuple[bool, str]]
    ) -> None:
        with self._lock:
            if self._pending.pop(future, None) is None:
                return  # it was given up
        accepted, reason = judge(future.result())
        if accepted:
            self._outcomes.put(Outcome(True, f"{words}: accepted"))
        else:
            self._outcomes.put(Outcome(False, f"{words} REFUSED: {reason}"))
