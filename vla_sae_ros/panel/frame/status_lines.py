"""The texts of the panel's status lines. Pure functions of what is known."""

from __future__ import annotations

import math

from vla_sae_ros.panel.state.connection import SILENCE_LIMIT, Link, LinkState
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.state.values import EpisodeView, RecordingView, TakeoverView

_SLOWEST = 0.05
"""[1/s] a lower rate would be shown as none, and is none: diagnostics alone are heard."""


def link_text(
    state: LinkState, rate: float, policy: str, policies: int = 1, inactive: str = ""
) -> str:
    """Return the connection in words; `rate` is feature messages per second.

    inactive: lifecycle state of a policy node that serves nothing.
    """
    if state.link is Link.WAITING:
        return "Waiting for a policy node. Is the system running?"
    if state.link is Link.LOST:
        return (
            f"CONNECTION LOST: the policy has been silent for {state.age:.0f} s. "
            "Values below are old; this panel's edits end with their lease."
        )
    if inactive:
        return (
            f"The policy node is {inactive.upper()}: no inference, no edits. "
            "It serves once it is active (ros2 lifecycle set /policy activate)."
        )
    name = f" to policy {policy[:12]}" if policy else ""
    pace = f"{rate:.1f} feature messages/s" if rate >= _SLOWEST else "no inference at present"
    text = f"Connected{name}, {pace}, last heard {state.age:.1f} s ago"
    if policies > 1:
        text += f"   {policies} POLICIES publish features: values mix, stop all but one"
    return text


def episode_text(episode: EpisodeView | None) -> str:
    """Return what the bridge is doing."""
    if episode is None:
        return "No bridge heard yet"
    if not episode.episode_id:
        return f"No episode ({episode.status})" + (f": {episode.detail}" if episode.detail else "")
    where = f"{episode.suite} task {episode.task}" if episode.suite else "robot"
    limit = f"/{episode.max_steps}" if episode.max_steps else ""
    text = (
        f"{where} “{episode.instruction}”   step {episode.step}{limit}   {episode.status}"
        f"   {'realtime' if episode.realtime else 'lockstep'}"
    )
    counts = {
        "missed deadlines": episode.missed_deadlines,
        "held ticks": episode.held_ticks,
        "dropped chunks": episode.dropped_chunks,
    }
    text += "".join(f"   {count} {name}" for name, count in counts.items() if count)
    return text + (f"   {episode.detail}" if episode.detail else "")


def takeover_text(takeover: TakeoverView | None, owner: str) -> str:
    """Return who moves the arm by hand; empty while the policy does."""
    if takeover is None or not takeover.taken_over:
        return ""
    mine = takeover.owner == owner
    text = "BY HAND: W S A D R F, gripper G, back F4" if mine else f"BY HAND of {takeover.owner}"
    text += ", SILENT: holds still" if takeover.silent else ""
    return text + (f", {takeover.refused} commands refused" if takeover.refused else "")


def steering_text(store: Store, owner: str) -> str:
    """Return which edits stand, whose they are, how strong they are and what went wrong."""
    steering = store.steering
    if steering is None:
        return "Steering state unknown"
    count = len(steering.edits)
    text = "No edits" if not count else f"{count} edit{'s' if count > 1 else ''}"
    text += " KEPT BUT BYPASSED" if steering.bypass and count else ""
    if steering.injection and not steering.bypass:
        text += f"   INJECTED at {steering.injection}"
    others = sorted({edit.owner for edit in steering.edits} - {owner})
    if others:
        text += f" (others set by {', '.join(others)})"
    text += f"   revision {steering.revision}   cap {steering.cap:.2f}"
    newest = store.newest.values()
    if newest:
        text += f"   edit/residual {max(each.edit_norm_ratio for each in newest):.3f}"
        capped = [each.site for each in newest if each.capped]
        text += f" CAPPED at {', '.join(capped)}" if capped else ""
        text += f"   inference {max(each.inference_ms for each in newest):.0f} ms"
    counters = store.counters
    counts = {
        "refused": counters.refused,
        "times capped": counters.capped,
        "late messages": counters.late,
        "lost messages": counters.lost,
    }
    return text + "".join(f"   {count} {name}" for name, count in counts.items() if count)


def monitor_text(store: Store) -> str:
    """Return what the monitor says, an alarm with what set it off; empty without a monitor.

    An alarm and a silent monitor begin with a word in capitals.
    """
    alarm, newest = store.monitors.alarm, store.monitors.newest
    if newest is None:
        return ""
    if alarm is not None:
        asked = "" if alarm.acted else f"; {alarm.on_alarm} not confirmed"
        return f"ALARM: {alarm.detail or alarm.score_name}{asked}"
    features = store.newest.get(newest.site)
    behind = abs(features.time - newest.time) if features is not None else 0.0
    if behind > SILENCE_LIMIT:
        return f"MONITOR SILENT: nothing scored for {behind:.0f} s of observations"
    if math.isnan(newest.score):
        return f"monitor: no score, {newest.detail or 'and no reason given'}"
    return (
        f"monitor: {newest.score_name} {newest.score:.4g}, alarm above {newest.threshold:.4g}"
        + (f"   {newest.detail}" if newest.detail else "")
    )


def recording_text(recording: RecordingView | None, lost: bool = False) -> str:
    """Return what the recorder is doing; empty when it is doing nothing.

    lost: a recording that ran is not reported any more.
    """
    if recording is None or recording.status == "idle":
        return ""
    if lost:
        return f"RECORDER SILENT, last heard at {recording.elapsed:.0f} s"
    words = "● REC" if recording.recording else f"recording {recording.status}"
    text = f"{words} {recording.elapsed:.0f} s, {recording.size / 1e6:.1f} MB"
    text += f", {recording.dropped} DROPPED" if recording.dropped else ""
    return text + (f"   {recording.detail}" if recording.detail else "")
