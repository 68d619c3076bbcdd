"""One episode at a time; the simulator is a fake."""

from __future__ import annotations

import threading

import pytest

from vla_sae_ros.core.errors import ConfigurationError, SimulationError
from vla_sae_ros.sim.episode_thread import EpisodeThread
from vla_sae_ros.sim.worker import SimulatorLate


class Scene:
    def __init__(self, task: int) -> None:
        self.task, self.closed = task, False

    def close(self) -> None:
        self.closed = True


def begun(episode: EpisodeThread[Scene], task: int) -> Scene:
    return episode.reset(
        "reset", lambda: episode.scene(lambda one: one.task == task, lambda: Scene(task))
    )


def test_a_scene_serves_as_long_as_it_fits() -> None:
    episode: EpisodeThread[Scene] = EpisodeThread("fake", 600.0, 600.0)
    with pytest.raises(SimulationError, match=r"Cannot step: no episode was started"):
        episode.call("step", lambda scene: scene)
    first = begun(episode, 1)
    assert begun(episode, 1) is first and not first.closed
    second = begun(episode, 2)
    assert first.closed and episode.call("step", lambda scene: scene) is second
    episode.close()
    episode.close()
    assert second.closed


def test_after_a_late_call_only_a_reset_is_let_through() -> None:
    episode: EpisodeThread[Scene] = EpisodeThread("fake", 600.0, 0.05)
    begun(episode, 1)
    release = threading.Event()
    with pytest.raises(SimulatorLate):
        episode.call("step", lambda _: release.wait())
    release.set()
    with pytest.raises(SimulationError, match=r"Cannot render: an earlier call to step did not"):
        episode.call("render", lambda scene: scene)
    begun(episode, 1)
    assert episode.call("render", lambda scene: scene.task) == 1
    episode.close()


def test_what_a_simulator_raises_is_said_with_its_name_and_a_refusal_passes() -> None:
    episode: EpisodeThread[Scene] = EpisodeThread("fake", 600.0, 600.0)
    begun(episode, 1)

    def fail(error: Exception) -> None:
        raise error

    with pytest.raises(SimulationError, match=r"fake failed to step: ZeroDivisionError: by zero"):
        episode.call("step", lambda _: fail(ZeroDivisionError("by zero")))
    with pytest.raises(ConfigurationError, match="no such state"):
        episode.reset("reset", lambda: fail(ConfigurationError("no such state")))
    assert episode.call("step", lambda scene: scene.task) == 1  # as before
    episode.close()
