"""Mailboxes, the outbox, the guard, the connection's state and the status texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from vla_sae_ros.core.steering import Edit, Mode
from vla_sae_ros.panel.editing.outbox import SEND_PERIOD, Outbox
from vla_sae_ros.panel.frame.status_lines import (
    episode_text,
    link_text,
    monitor_text,
    recording_text,
    steering_text,
)
from vla_sae_ros.panel.state.connection import SILENCE_LIMIT, Link, link_state
from vla_sae_ros.panel.state.mailbox import Inbox, Mailbox
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.state.values import EpisodeView, FeatureName, RecordingView
from vla_sae_ros.panel.widgets.guard import Mishaps, guarded


class FakeSink:
    """Remembers what was sent."""

    def __init__(self) -> None:
        self.busy = False
        self.sent: list[list[float]] = []

    def steer(
        self,
        edits: Sequence[Edit],
        release: Sequence[FeatureName] = (),
        ramp: float = 0.0,
        words: str = "",
    ) -> int:
        self.sent.append([edit.value for edit in edits])
        return 1


def edit(value: float) -> Edit:
    return Edit(1, Mode.CLAMP, value, "s")


def test_a_mailbox_keeps_the_newest_of_each_key_and_counts_the_replaced() -> None:
    box: Mailbox[str, int] = Mailbox()
    for key, value in (("a", 1), ("b", 2), ("a", 3)):
        box.put(key, value)
    assert box.take() == {"a": 3, "b": 2}
    assert box.take() == {}
    assert box.replaced == 1


def test_an_inbox_keeps_order_and_is_bounded() -> None:
    box: Inbox[int] = Inbox(limit=3)
    for value in range(5):
        box.put(value)
    assert box.take() == [2, 3, 4]
    assert box.take() == []


def test_the_outbox_sends_the_newest_value_at_a_bounded_rate() -> None:
    sink = FakeSink()
    outbox = Outbox(sink)
    outbox.put(edit(0.1))
    assert outbox.send(0.0)
    for value in (0.2, 0.3):
        outbox.put(edit(value))
        assert not outbox.send(SEND_PERIOD / 2)
    assert outbox.send(SEND_PERIOD * 1.01)
    assert sink.sent == [[0.1], [0.3]]


def test_the_outbox_waits_for_the_answer() -> None:
    sink = FakeSink()
    outbox = Outbox(sink)
    sink.busy = True
    outbox.put(edit(0.1))
    assert not outbox.send(0.0)
    sink.busy = False
    assert outbox.send(0.0)


def test_what_is_dropped_is_not_sent() -> None:
    sink = FakeSink()
    outbox = Outbox(sink)
    outbox.put(edit(0.1))
    outbox.drop(("s", 1))
    assert not outbox.send(0.0)


def test_a_guarded_function_returns_its_default_and_notes_the_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mishaps = Mishaps()
    monkeypatch.setattr("vla_sae_ros.panel.widgets.guard.MISHAPS", mishaps)

    @guarded(default=7)
    def broken() -> int:
        raise ValueError("a fault")

    assert broken() == 7
    assert mishaps.count == 1 and "ValueError: a fault" in mishaps.last


@pytest.mark.parametrize(
    ("last", "link"),
    [(None, Link.WAITING), (99.5, Link.LIVE), (100 - SILENCE_LIMIT - 0.1, Link.LOST)],
)
def test_the_link_is_judged_by_the_age_of_the_newest_message(
    last: float | None, link: Link
) -> None:
    assert link_state(100.0, last).link is link


def test_a_lost_connection_is_said_with_its_age() -> None:
    text = link_text(link_state(110.0, 100.0), 0.0, "p")
    assert "CONNECTION LOST" in text and "10 s" in text


def test_the_episode_line_names_task_step_and_every_count_that_is_not_zero() -> None:
    episode = EpisodeView(
        "e", "libero_object", 3, "pick up the soup", 40, 280, "running", "", True, 2, 0, 1
    )
    text = episode_text(episode)
    for part in (
        "libero_object task 3",
        "“pick up the soup”",
        "step 40/280",
        "running",
        "realtime",
        "2 missed deadlines",
        "1 dropped chunks",
    ):
        assert part in text
    assert "held" not in text


def test_the_steering_line_names_other_owners_what_is_capped_and_what_went_wrong(
    make_steering, make_activations
) -> None:
    store = Store()
    store.steering = make_steering(("s", 1, 1.0), revision=7, owner="steer_42")
    store.newest["s"] = make_activations("s", {}, capped=True)
    store.counters.refused = 3
    text = steering_text(store, "me")
    for part in ("1 edit ", "steer_42", "revision 7", "CAPPED at s", "3 refused"):
        assert part in text
    assert "late" not in text


def test_the_steering_line_names_an_injection_and_its_share_while_no_bypass_suspends_it(
    make_steering, make_activations
) -> None:
    store = Store()
    store.steering = replace(make_steering(), injection="backbone.1")
    told = replace(make_activations("backbone.1 (injected)", {}), edit_norm_ratio=0.43)
    store.newest[told.site] = told
    text = steering_text(store, "me")
    assert "INJECTED at backbone.1" in text and "edit/residual 0.430" in text
    store.steering = replace(store.steering, bypass=True)
    assert "INJECTED" not in steering_text(store, "me")


def test_the_recorder_is_shown_with_time_size_and_what_it_dropped() -> None:
    assert recording_text(None) == ""
    view = RecordingView("recording", "/bag", 12.0, 34_500_000, 100, 2, "")
    assert recording_text(view) == "● REC 12 s, 34.5 MB, 2 DROPPED"
    assert recording_text(view, lost=True) == "RECORDER SILENT, last heard at 12 s"


def test_two_policies_at_once_are_said() -> None:
    assert "2 POLICIES" in link_text(link_state(1.0, 0.9), 1.0, "p", 2)


def test_without_a_monitor_nothing_is_said_of_one() -> None:
    assert monitor_text(Store()) == ""


def test_the_monitors_line_has_score_and_threshold_or_why_there_is_none(make_monitor) -> None:
    store = Store()
    store.monitors.take(make_monitor(0.25))
    assert monitor_text(store) == "monitor: fvu 0.25, alarm above 0.5"
    store.monitors.take(make_monitor(math.nan, inference=2, detail="no FVU"))
    assert monitor_text(store) == "monitor: no score, no FVU"


def test_an_alarm_is_told_with_what_set_it_off_and_whether_it_was_acted_on(make_monitor) -> None:
    store = Store()
    cause = "fvu at backbone.1 0.9 above 0.5 at step 4, inference 2"
    alarm = make_monitor(0.9, inference=2, alarm=True, alarm_step=4, detail=cause)
    store.monitors.take(alarm)
    assert monitor_text(store) == f"ALARM: {cause}; bypass not confirmed"
    store.monitors.take(make_monitor(0.1, 3, alarm=True, alarm_step=4, detail=cause, acted=True))
    assert monitor_text(store) == f"ALARM: {cause}"
    store.monitors.take(make_monitor(0.1, 4, episode_id="next"))
    assert "ALARM" not in monitor_text(store)


def test_a_monitor_that_falls_silent_while_the_policy_infers_is_told(
    make_monitor, make_activations
) -> None:
    store = Store()
    store.monitors.take(make_monitor(0.1, 1, time=10.0))
    store.newest["backbone.1"] = make_activations("backbone.1", {}, time=12.0)
    assert "SILENT" not in monitor_text(store)
    store.newest["backbone.1"] = make_activations("backbone.1", {}, time=15.0)
    assert monitor_text(store) == "MONITOR SILENT: nothing scored for 5 s of observations"
