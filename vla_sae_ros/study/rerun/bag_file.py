"""A bag as an .rrd file."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from rosbags.interfaces import Connection

from vla_sae_ros.bags.episode_trace import EpisodeTrace, Picture
from vla_sae_ros.bags.opened_bag import OpenedBag, open_bag
from vla_sae_ros.bags.pictures import HEATMAP, RAW_TYPE, camera_of
from vla_sae_ros.bags.reading import Bag, timeline_of
from vla_sae_ros.bags.storage.findings import Findings
from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.core.one_line import one_line
from vla_sae_ros.study.plots.feature_choice import FeatureName, chosen_features
from vla_sae_ros.study.rerun.episodes import EpisodeScenes
from vla_sae_ros.study.rerun.features import ShownFeatures
from vla_sae_ros.study.rerun.layout import Box, layout
from vla_sae_ros.study.rerun.moments import Moment, moment_of
from vla_sae_ros.study.rerun.rrd_file import RrdFile
from vla_sae_ros.study.rerun.scene import TOPICS, Scene, picture_name

SHOWN = 6
"""Features drawn as series when none are named."""

Heatmaps = Callable[[str], tuple[str, Mapping[int, Picture]]]
"""Of an episode id: what the heatmaps show, and control step -> (H, W, 3) RGB."""


def write_rrd(
    folder: Path,
    bag: Bag,
    episodes: Sequence[EpisodeTrace],
    path: Path,
    features: Sequence[FeatureName] = (),
    heatmaps: Heatmaps | None = None,
    namespace: str | None = None,
) -> Findings:
    """Write the episodes of a bag to `path`, a recording each, and return what was left out.

    All episodes, and what lies outside them in a recording of its own, if `episodes` is empty.

    Args:
        folder: of the bag.
        bag: the same, read without its pictures.
        episodes: to write.
        path: of the .rrd file, which is replaced.
        features: drawn as series; none: those edited, and the most active others.
        heatmaps: drawn beside the cameras.
        namespace: of the system in the bag.
    """
    rates = {each.episode_id: each.control_rate for each in bag.episodes}
    shown = ShownFeatures(features or features_of(episodes or bag.episodes, bag))

    def draw_heatmaps(episode: str, scene: Scene) -> None:
        if heatmaps is None or not episode:
            return
        name, pictures = heatmaps(episode)
        for step, picture in pictures.items():
            time = step / rates[episode] if rates[episode] > 0 else None
            scene.heatmap(name, picture, Moment(episode, None, step, time))

    with open_bag(folder, namespace) as opened:
        timeline, names = timeline_of(opened), names_of(opened)
        views = layout(
            [camera for name in names.values() if (camera := picture_name(name))],
            {site for each in (*bag.episodes, bag.outside) for site in each.features},
            heatmaps is not None or HEATMAP in names.values(),
            reach_of(episodes or (*bag.episodes, bag.outside)),
        )
        with RrdFile(path, views) as file:
            scenes = EpisodeScenes(
                lambda episode: file.open(f"{folder.name}-{episode}", title(bag, episode)),
                shown,
                {each.episode_id for each in episodes},
                draw_heatmaps,
            )
            chosen = [each for each in opened.connections if each.id in names]
            for connection, received, message in opened.decoded(chosen):
                name = names[connection.id]
                try:
                    scenes.take(name, message, moment_of(name, message, received, timeline))
                except RecordingError as error:
                    opened.findings.leave_out(connection.topic, str(error), received)
            scenes.close()
        return opened.findings


def names_of(bag: OpenedBag) -> dict[int, str]:
    """Return connection id -> name, relative to the system, of every topic that is drawn.

    A camera that was recorded twice is drawn as it was sent.
    """
    names = {each.id: name for name in (*TOPICS, HEATMAP) for each in bag.of(name)}
    sources: dict[str, list[Connection]] = defaultdict(list)
    for each in bag.connections:
        if camera := camera_of(each.topic, each.msgtype, bag.namespace):
            sources[camera].append(each)
    for of_camera in sources.values():
        raw = [each for each in of_camera if each.msgtype == RAW_TYPE]
        prefix = f"{bag.namespace}/"
        names |= {each.id: each.topic.removeprefix(prefix) for each in raw or of_camera}
    return names


def features_of(episodes: Sequence[EpisodeTrace], bag: Bag) -> list[FeatureName]:
    """Return the features that are edited in any of the episodes and, up to SHOWN in all, those
    that are among the most active of most episodes.
    """
    edited = [
        (site, feature)
        for episode in episodes
        for site, stream in episode.features.items()
        for feature in stream.edited()
    ]
    votes = Counter(
        name for episode in episodes for name in chosen_features(episode, bag.catalogues, SHOWN)
    )
    kept = list(dict.fromkeys(edited))
    others = [name for name, _ in votes.most_common() if name not in kept]
    return kept + others[: max(SHOWN - len(kept), 0)]


def reach_of(episodes: Sequence[EpisodeTrace]) -> Box:
    """Return the box that the hand's positions [m] lie in; around the origin without any."""
    known = [each.position.values for each in episodes if each.position.values.size]
    points = np.concatenate(known) if known else np.zeros((0, 3))
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return np.zeros(3), np.zeros(3)
    return points.min(axis=0), points.max(axis=0)


def title(bag: Bag, episode_id: str) -> str:
    """Return the name under which the viewer lists an episode."""
    for number, each in enumerate(bag.episodes, 1):
        if each.episode_id == episode_id:
            status = each.status.name.lower()
            return one_line(f"{number}: {each.instruction or episode_id}, {status}")
    return "outside episodes"
