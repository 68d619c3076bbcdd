"""One list of what an episode is doing, in the numbers of the wire."""

from __future__ import annotations

import re
from pathlib import Path

from vla_sae_ros.core.episode_status import EpisodeStatus


def test_the_numbers_are_the_message_files_own() -> None:
    text = Path(__file__).parents[2].joinpath("msg", "EpisodeState.msg").read_text()
    statuses = text[text.index("uint8 IDLE") : text.index("uint8 LOCKSTEP")]
    numbers = {name: int(number) for name, number in re.findall(r"uint8 (\w+)=(\d+)", statuses)}
    assert len(numbers) == 8
    assert numbers == {each.name: each for each in EpisodeStatus if each.name != "UNKNOWN"}


def test_a_number_of_a_later_version_reads_as_unknown() -> None:
    status = EpisodeStatus(17)
    assert status is EpisodeStatus.UNKNOWN
    assert not status.ended and not status.under_way and status.success is None


def test_an_episode_is_under_way_or_has_ended_or_is_not_there() -> None:
    assert {each.words for each in EpisodeStatus if each.under_way} == {
        "resetting",
        "running",
        "holding",
    }
    assert {each.words for each in EpisodeStatus if each.ended} == {
        "succeeded",
        "failed",
        "canceled",
        "error",
    }


def test_only_an_end_that_the_task_decided_tells_of_success() -> None:
    assert EpisodeStatus.SUCCEEDED.success is True
    assert EpisodeStatus.FAILED.success is False
    assert EpisodeStatus.CANCELED.success is None
