"""An episode in two halves: it is played in one process and answered in another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from vla_sae_ros.policy.inference import Inference

if TYPE_CHECKING:  # players have no PyTorch
    from vla_sae_ros.policy.batch_engine import Row

Ask = Callable[[Any], Any]
"""Asks the policy's process a question of one's own job; returns the answer."""


class Session(Protocol):
    """The half of a job that lies in the policy's process."""

    def row(self, question: Any) -> Row:
        """Return what is to be inferred."""
        ...

    def answer(self, question: Any, inference: Inference) -> Any:
        """Return what is sent back."""
        ...


class RowEngine(Protocol):
    """What answers: see `policy.batch_engine.BatchEngine`."""

    def infer(self, rows: Sequence[Row]) -> list[Inference]: ...


class Answering(Protocol):
    """A policy, and what sessions need beside it."""

    @property
    def engine(self) -> RowEngine: ...


class AnsweringSpec(Protocol):
    """How to make it, in a few words that travel to another machine."""

    def open(self) -> Answering: ...


class Job(Protocol):
    """One episode; it travels, so it holds plain data."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    def play(self, player: Any, ask: Ask) -> Any:
        """Play it, in a player's process; return what came of it."""
        ...

    def session(self, answering: Any) -> Session:
        """Begin it, in the policy's process.

        Raises:
            VlaSaeError: what it asks for cannot be answered.
        """
        ...


class Player(Protocol):
    """What plays jobs: a simulator, or what holds one."""

    def close(self) -> None: ...


MakePlayer = Callable[[], Player]


@dataclass(frozen=True)
class Done:
    """What came of a job."""

    result: Any


@dataclass(frozen=True)
class Failed:
    """Why a job was not done. usable: its player goes on; otherwise it has been replaced."""

    reason: str
    usable: bool


class Players(Protocol):
    """Numbered players, each at one job at a time, and the policies that answer them."""

    @property
    def count(self) -> int: ...

    def give(self, player: int, job: Job) -> None:
        """Let an idle player play a job."""
        ...

    def wait(self) -> list[tuple[int, Done | Failed]]:
        """Wait until a player is done.

        Raises:
            ConfigurationError: players or policies cannot even begin.
        """
        ...

    def close(self) -> None:
        """Stop every player, whatever it is at."""
        ...
