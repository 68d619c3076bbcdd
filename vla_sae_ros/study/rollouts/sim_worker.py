"""A process with a simulator and no policy: it asks another process for its action chunks."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection

import numpy as np

from vla_sae_ros.core.picture_record import Quality
from vla_sae_ros.sim.benchmark import benchmark_named
from vla_sae_ros.sim.environment import Environment
from vla_sae_ros.sim.own_contract import instruction_of
from vla_sae_ros.study.rollouts.simulated import executable, objects_in_basket, policy_frame
from vla_sae_ros.study.rollouts.trials import Trial


@dataclass(frozen=True)
class ChunkWanted:
    """An episode cannot go on without a chunk for this frame."""

    frame: dict[str, np.ndarray]
    first: bool
    """Of its episode."""
    instruction: str = ""


@dataclass(frozen=True)
class Played:
    """How an episode ended."""

    success: bool
    steps: int
    in_basket: tuple[str, ...]


@dataclass(frozen=True)
class Broken:
    """An episode could not be played, and why."""

    reason: str


def libero(quality: Quality = "full") -> Environment:
    """Return a LIBERO of one's own."""
    return environment_of("libero", quality=quality)


def environment_of(
    env: str, suite: str = "", contract: str = "", quality: Quality = "full"
) -> Environment:
    """Return an environment of one's own; see `sim.benchmark.benchmark_named`."""
    return benchmark_named(env, contract, quality).environment(suite)


def serve(pipe: Connection, make: Callable[[], Environment], execute_steps: int) -> None:
    """Play the trials that come through the pipe until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def ask(frame: dict[str, np.ndarray], first: bool, told: str) -> np.ndarray:
        pipe.send(ChunkWanted(frame, first, told))
        chunk: np.ndarray = pipe.recv()
        return chunk

    try:
        environment = make()
        while True:
            pipe.send(play(environment, pipe.recv(), execute_steps, ask))
    except EOFError:
        environment.close()
    except Exception as error:  # said to the parent, which ends with it
        pipe.send(Broken(f"{type(error).__name__}: {error}"))


def play(
    environment: Environment,
    trial: Trial,
    execute_steps: int,
    ask: Callable[[dict[str, np.ndarray], bool, str], np.ndarray],
) -> Played:
    """Run one episode to success or its step limit; `ask` gives a chunk (H, A) for a frame.

    It is also told whether the frame is the episode's first, and the instruction.
    """
    observation = environment.reset(trial.task, trial.init_state, trial.seed, trial.layout)
    told = instruction_of(environment, trial.task.instruction)
    success, ended, steps = False, False, 0
    while not success and not ended and steps < trial.step_limit:
        if steps % execute_steps == 0:
            chunk = ask(policy_frame(environment, observation), steps == 0, told)
        result = environment.step(executable(environment, chunk[steps % execute_steps]))
        observation, success, ended = result.observation, result.success, result.ended
        steps += 1
    return Played(success, steps, objects_in_basket(environment.object_positions()))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None  # we were started by one
    parent.join()
    os._exit(1)
