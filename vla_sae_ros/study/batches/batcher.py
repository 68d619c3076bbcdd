"""Collects what many ask and lets the policy infer for all of them at once."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from vla_sae_ros.core.errors import VlaSaeError
from vla_sae_ros.study.batches.jobs import RowEngine, Session

FILL_S = 0.005
"""Seconds that a batch waits for questions of those who do not ask yet."""


@dataclass(frozen=True)
class _Asked:
    session: Session
    question: Any
    future: Future


class Batcher:
    """One thread that infers; questions may come from any other.

    Args:
        engine: used on that thread only.
        most: rows of the largest batch.
    """

    def __init__(self, engine: RowEngine, most: int) -> None:
        self._engine, self._most = engine, most
        self.expected = most
        """How many ask at present at most: a batch of all of them is not waited for any longer."""
        self.batches: list[int] = []
        """Rows of every inference."""
        self._queue: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    def submit(self, session: Session, question: Any) -> Future:
        """Return what will hold the answer, or the exception that there is instead."""
        asked = _Asked(session, question, Future())
        self._queue.put(asked)
        return asked.future

    def close(self) -> None:
        """End after what was asked before."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, more = self._filled(first)
            self._answer(batch)
            if not more:
                return

    def _filled(self, first: _Asked) -> tuple[list[_Asked], bool]:
        """Return a batch that begins with this question, and whether there will be another."""
        batch, until = [first], time.monotonic() + FILL_S
        while len(batch) < min(self._most, max(1, self.expected)):
            try:
                another = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if another is None:
                return batch, False
            batch.append(another)
        return batch, True

    def _answer(self, batch: list[_Asked]) -> None:
        try:
            rows = [asked.session.row(asked.question) for asked in batch]
            inferences = self._engine.infer(rows)
            self.batches.append(len(rows))
            answers = [
                asked.session.answer(asked.question, inference)
                for asked, inference in zip(batch, inferences, strict=True)
            ]
        except VlaSaeError as error:
            self._refuse(batch, error)
        except Exception as error:  # handed to who waits for the answers
            for asked in batch:
                asked.future.set_exception(error)
        else:
            for asked, answer in zip(batch, answers, strict=True):
                asked.future.set_result(answer)

    def _refuse(self, batch: list[_Asked], error: VlaSaeError) -> None:
        """Give the refusal to whose question it is: the others are answered each alone."""
        if len(batch) == 1:
            batch[0].future.set_exception(error)
            return
        for asked in batch:
            self._answer([asked])
