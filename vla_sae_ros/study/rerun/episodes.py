"""One Rerun recording per episode, opened as the messages come."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import rerun as rr

from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.study.rerun.features import ShownFeatures
from vla_sae_ros.study.rerun.moments import Moment
from vla_sae_ros.study.rerun.names import FeatureNames
from vla_sae_ros.study.rerun.scene import Scene

_OPEN = 3
"""Recordings of episodes that are open at a time: each has a file and a thread."""

Open = Callable[[str], rr.RecordingStream]
"""Opens the recording of an episode id; of what lies outside every episode for an empty one."""

Begun = Callable[[str, Scene], None]
"""Told of each episode id and its new scene."""


class EpisodeScenes:
    """Hands each message to the scene of its episode.

    What holds at an episode's beginning, the catalogue and the steering, is drawn in it first.
    """

    def __init__(
        self,
        open_recording: Open,
        shown: ShownFeatures,
        wanted: Collection[str] = (),
        begun: Begun = lambda _episode, _scene: None,
    ) -> None:
        """Draw the episodes in `wanted`; everything, also outside episodes, where it is empty."""
        self._open, self._shown, self._wanted, self._begun = open_recording, shown, wanted, begun
        self._names = FeatureNames()
        self._steering: Any = None
        self._scenes: dict[str, Scene] = {}
        self._closed: set[str] = set()

    def take(self, name: str, message: Any, moment: Moment) -> None:
        """Draw a message.

        Raises RecordingError for a picture that cannot be read, and for a message of an episode
        that was closed because three others had begun since.
        """
        if name == "policy/catalogue":
            self._names.learn(message)
            for scene in self._scenes.values():
                scene.draw(name, message, moment)
            return
        if name == "steering/state":
            self._steering = message
        if not self._wanted or moment.episode_id in self._wanted:
            self._scene(moment).draw(name, message, moment)

    def close(self) -> None:
        """End all recordings."""
        for episode in list(self._scenes):
            self._close(episode)

    def _scene(self, moment: Moment) -> Scene:
        episode = moment.episode_id
        if episode in self._scenes:
            return self._scenes[episode]
        if episode in self._closed:
            raise RecordingError("it was received after three other episodes had begun")
        scene = Scene(self._open(episode), self._names, self._shown)
        self._scenes[episode] = scene
        if self._steering is not None:
            scene.draw("steering/state", self._steering, moment)
        self._begun(episode, scene)
        inside = [each for each in self._scenes if each]
        for old in inside[:-_OPEN]:
            self._close(old)
        return scene

    def _close(self, episode: str) -> None:
        self._scenes.pop(episode).close()
        self._closed.add(episode)
