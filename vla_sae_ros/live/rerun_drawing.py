"""Messages as they arrive, drawn into recordings of a viewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import rerun as rr
from mcap.records import Schema

from vla_sae_ros.bags.message_definitions import definition_of
from vla_sae_ros.bags.pictures import HEATMAP
from vla_sae_ros.bags.soundness import fault
from vla_sae_ros.bags.storage.recorded_types import RecordedType, recorded_type
from vla_sae_ros.bags.timeline import Timeline
from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.core.one_line import one_line
from vla_sae_ros.study.plots.feature_choice import FeatureName
from vla_sae_ros.study.rerun.episodes import EpisodeScenes
from vla_sae_ros.study.rerun.features import ShownFeatures
from vla_sae_ros.study.rerun.layout import layout
from vla_sae_ros.study.rerun.moments import moment_of
from vla_sae_ros.study.rerun.scene import picture_name
from vla_sae_ros.study.rerun.sdk import APPLICATION

FOLLOWED = 4
"""Features of each site that are drawn as series when none are named."""

_NO_END = 2**62
"""Of an episode that runs: [ns] of its last message, and its steps."""


class LiveDrawing:
    """Decodes messages as a bag's are, so that both are drawn by the same code."""

    def __init__(self, url: str, prefix: str, features: Sequence[FeatureName] = ()) -> None:
        """Draw into the viewer at `url`; `prefix` is the namespace that topics begin with."""
        self._url, self._prefix = url, prefix
        shown = ShownFeatures(features, follow=0 if features else FOLLOWED)
        self._scenes = EpisodeScenes(self._open, shown)
        self._episodes: dict[str, tuple[int, Any]] = {}
        self._timeline = Timeline(())
        self._cameras: list[str] = []
        self._sites: set[str] = set()
        self._heatmap = False
        self._newest: rr.RecordingStream | None = None

    def draw(self, topic: str, msgtype: str, received: int, data: bytes) -> None:
        """Draw a message; RecordingError when it cannot be read, or says what cannot be."""
        message, _ = _type_of(msgtype).read(data)
        if (why := fault(msgtype, message)) is not None:
            raise RecordingError(why)
        name = topic.removeprefix(self._prefix)
        if name == "episode" and message.episode_id:
            self._place(received, message)
        self._scenes.take(name, message, moment_of(name, message, received, self._timeline))
        self._lay_out(name, message)

    def close(self) -> None:
        """Send what is still on its way."""
        self._scenes.close()

    def _open(self, episode: str) -> rr.RecordingStream:
        recording_id = episode or None  # what lies outside is another one each time
        stream = rr.RecordingStream(APPLICATION, recording_id=recording_id)
        stream.connect_grpc(self._url, default_blueprint=self._layout())
        told = self._episodes.get(episode)
        stream.send_recording_name(
            one_line(told[1].instruction or episode) if told else "outside episodes"
        )
        self._newest = stream
        return stream

    def _place(self, received: int, state: Any) -> None:
        """Take the newest EpisodeState; messages of the one before may still be on their way."""
        self._episodes.pop(state.episode_id, None)
        self._episodes[state.episode_id] = received, state
        while len(self._episodes) > 2:
            del self._episodes[next(iter(self._episodes))]
        self._timeline = Timeline(self._episodes.values())
        for episode, span in self._timeline.spans.items():
            if span.status.under_way:
                self._timeline.spans[episode] = replace(span, last_received=_NO_END, steps=_NO_END)

    def _lay_out(self, name: str, message: Any) -> None:
        """Send the layout again when there is a camera or a site more."""
        before = len(self._cameras), len(self._sites), self._heatmap
        camera = picture_name(name)
        if camera and camera not in self._cameras:
            self._cameras.append(camera)
        if name == "policy/features":
            self._sites.add(message.site)
        self._heatmap = self._heatmap or name == HEATMAP
        if (len(self._cameras), len(self._sites), self._heatmap) != before and self._newest:
            self._newest.send_blueprint(self._layout())

    def _layout(self) -> Any:
        return layout(self._cameras, self._sites, self._heatmap)


@cache
def _type_of(msgtype: str) -> RecordedType:
    definition = definition_of(msgtype)
    schema = Schema(0, definition.text.encode(), "ros2msg", msgtype)
    return recorded_type([schema], definition.rihs01)
