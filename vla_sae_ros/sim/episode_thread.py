"""One episode at a time on a simulator's thread; after a late call only a reset is let through."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol

from vla_sae_ros.core.errors import SimulationError, VlaSaeError
from vla_sae_ros.sim.worker import SimulationThread, SimulatorLate


class Closing(Protocol):
    """Something that is freed once."""

    def close(self) -> None: ...


class EpisodeThread[S: Closing]:
    """Owns what is simulated, a scene, and the thread that it lives on.

    Args:
        name: of the simulator, for people.
        reset_limit_s, step_limit_s: seconds that a reset and any other call may take.
    """

    def __init__(self, name: str, reset_limit_s: float, step_limit_s: float) -> None:
        self._name = name
        self._reset_limit_s, self._step_limit_s = reset_limit_s, step_limit_s
        self._thread = SimulationThread(name)
        self._scene: S | None = None
        self._late = ""  # a call that did not end in time: only a reset makes the state known again

    def reset[T](self, what: str, function: Callable[[], T]) -> T:
        """Run the function, which starts an episode; a late call before it is forgotten.

        Raises:
            SimulationError: it failed, or did not end in time.
        """
        result = self._called(what, function, self._reset_limit_s)
        self._late = ""
        return result

    def scene(self, fits: Callable[[S], bool], make: Callable[[], S]) -> S:
        """Return the scene if it fits, else one that is made in its place; within `reset` only."""
        if self._scene is None or not fits(self._scene):
            self._drop()
            self._scene = make()
        return self._scene

    def call[T](self, what: str, function: Callable[[S], T]) -> T:
        """Run the function on the scene of the present episode.

        Raises:
            SimulationError: there is no episode, an earlier call was late, or this one failed or
                did not end in time.
        """
        scene = self._scene
        if scene is None:
            raise SimulationError(f"Cannot {what}: no episode was started. Call reset first.")
        if self._late:
            raise SimulationError(
                f"Cannot {what}: an earlier call to {self._late} did not end in time. Call reset "
                "first."
            )
        return self._called(what, lambda: function(scene), self._step_limit_s)

    def close(self) -> None:
        """Free the scene and end the thread; calling it twice is harmless."""
        # Already closed, or stuck: nothing more can be freed from here.
        with contextlib.suppress(SimulationError):
            self._thread.call("close", self._drop, self._step_limit_s)
        self._thread.close()

    def _called[T](self, what: str, function: Callable[[], T], limit_s: float) -> T:
        try:
            return self._thread.call(what, function, limit_s)
        except SimulatorLate:
            self._late = what
            raise
        except VlaSaeError:
            raise
        except Exception as error:  # whatever a simulator raises
            raise SimulationError(
                f"{self._name} failed to {what}: {type(error).__name__}: {error}"
            ) from error

    def _drop(self) -> None:
        if self._scene is not None:
            self._scene.close()
            self._scene = None
