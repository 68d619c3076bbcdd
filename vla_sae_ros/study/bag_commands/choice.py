"""Which episodes and features of a bag a command is about."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from vla_sae_ros.bags.episode_trace import EpisodeTrace
from vla_sae_ros.core.errors import ConfigurationError, RecordingError, complaint
from vla_sae_ros.study.plots.feature_choice import FeatureName


def feature_name(text: str) -> FeatureName:
    """Return (site, feature) of "site:id"; an argparse type."""
    site, colon, number = text.rpartition(":")
    if not colon or not site or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"got {text!r}; allowed: site:id, e.g. expert.1:80")
    return site, int(number)


def add_features_argument(parser: argparse.ArgumentParser, meaning: str) -> None:
    """Declare --features SITE:ID ..., with what it means here."""
    parser.add_argument(
        "--features", type=feature_name, nargs="+", default=[], metavar="SITE:ID", help=meaning
    )


def episode_named(episodes: Sequence[EpisodeTrace], wanted: str) -> EpisodeTrace:
    """Return the episode of this id or, counted from 1, this number.

    Raises RecordingError naming those that there are.
    """
    for number, episode in enumerate(episodes, 1):
        if wanted in (episode.episode_id, str(number)):
            return episode
    raise RecordingError(
        complaint(
            "no such episode in the bag",
            wanted,
            f"1 to {len(episodes)}, or one of {[each.episode_id for each in episodes]}",
        )
    )


def check_timed(trace: EpisodeTrace) -> None:
    """Raise RecordingError when the times of an episode are not known."""
    if not trace.control_rate > 0:
        raise RecordingError(
            f"the times of episode {trace.episode_id} are unknown: no EpisodeState gives its "
            "control rate, and it does not follow from the stamps of its actions and features. "
            "`vla-sae bag export` writes the data by steps."
        )


def check_features(trace: EpisodeTrace, names: Sequence[FeatureName]) -> None:
    """Raise ConfigurationError when a site of the names was not recorded."""
    unknown = sorted({site for site, _ in names} - set(trace.features))
    if unknown:
        raise ConfigurationError(
            complaint("no features of this site in the bag", unknown, sorted(trace.features))
        )
