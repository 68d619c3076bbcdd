"""The texts of the panel's status lines. Pure functions of what is known."""

from __future__ import annotations

from vla_sae_ros.panel.connection import Link, LinkState
from vla_sae_ros.panel.values import Activations, EpisodeView, SteeringView


def link_text(state: LinkState, rate: float, policy: str) -> str:
    """Return the connection in words; `rate` is feature messages per second."""
    if state.link is Link.WAITING:
        return "Waiting for a policy node. Is the system running?"
    if state.link is Link.LOST:
        return (f"CONNECTION LOST: the policy has been silent for {state.age:.0f} s. "
                "Values below are old; this panel's edits end with their lease.")
    name = f" to policy {policy}" if policy else ""
    return f"Connected{name}, {rate:.1f} feature messages/s, newest message {state.age:.1f} s ago"


def episode_text(episode: EpisodeView | None) -> str:
    """Return what the bridge is doing."""
    if episode is None:
        return "No bridge heard yet"
    if not episode.episode_id:
        return f"No episode ({episode.status})" + (f": {episode.detail}" if episode.detail else "")
    where = f"{episode.suite} task {episode.task}" if episode.suite else "robot"
    limit = f"/{episode.max_steps}" if episode.max_steps else ""
    text = (f"{where} “{episode.instruction}”   step {episode.step}{limit}   {episode.status}"
            f"   {'realtime' if episode.realtime else 'lockstep'}")
    counts = {"missed deadlines": episode.missed_deadlines, "held ticks": episode.held_ticks,
              "dropped chunks": episode.dropped_chunks}
    text += "".join(f"   {count} {name}" for name, count in counts.items() if count)
    return text + (f"   {episode.detail}" if episode.detail else "")


def steering_text(
    steering: SteeringView | None, newest: Activations | None, owner: str
) -> str:
    """Return which edits stand, whose they are and how strong they are."""
    if steering is None:
        return "Steering state unknown"
    count = len(steering.edits)
    text = "No edits" if not count else f"{count} edit{'s' if count > 1 else ''}"
    others = sorted({edit.owner for edit in steering.edits} - {owner})
    if others:
        text += f" (also of {', '.join(others)})"
    text += f"   revision {steering.revision}   cap {steering.cap:.2f}"
    if newest is not None:
        text += f"   edit/residual {newest.edit_norm_ratio:.3f}"
        text += " CAPPED" if newest.capped else ""
        text += f"   inference {newest.inference_ms:.0f} ms"
    return text
