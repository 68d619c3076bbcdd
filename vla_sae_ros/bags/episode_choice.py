"""Choosing an episode of a bag by its id or its number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vla_sae_ros.bags.recorded_inferences import RecordedInference
from vla_sae_ros.core.errors import RecordingError, complaint


def chosen_episode(
    inferences: Sequence[RecordedInference], wanted: str | None, bag: Path
) -> list[RecordedInference]:
    """Return the inferences of one episode, by its id or its number from 1; None: all.

    Raises:
        RecordingError: the bag holds no inferences, or no such episode.
    """
    episodes = list(dict.fromkeys(each.episode_id for each in inferences))
    if not episodes:
        raise RecordingError(
            complaint(
                "nothing to replay",
                str(bag),
                "a bag with policy/request and policy/action_chunk",
                "Record the whole wire contract (without --topics).",
            )
        )
    if wanted is None:
        return list(inferences)
    numbered = {str(number): episode for number, episode in enumerate(episodes, 1)}
    episode = numbered.get(wanted, wanted)
    if episode not in episodes:
        raise RecordingError(
            complaint(
                "no such episode in the bag", wanted, f"1 to {len(episodes)}, or one of {episodes}"
            )
        )
    return [each for each in inferences if each.episode_id == episode]
