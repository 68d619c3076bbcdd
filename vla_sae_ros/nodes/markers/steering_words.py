"""The steering state in a few short lines, for people who look at the robot."""

from __future__ import annotations

from vla_sae_ros.core.steering import Mode, Phase, StandingEdit, StateView

_MOST = 4


def steering_words(view: StateView) -> str:
    """Return one line per edit, `_MOST` at most; "no steering" without any."""
    if not view.edits:
        return "no steering"
    lines = [_line(edit) for edit in view.edits[:_MOST]]
    if len(view.edits) > _MOST:
        lines.append(f"and {len(view.edits) - _MOST} more")
    return "\n".join((["BYPASSED"] if view.bypass else []) + lines)


def _line(standing: StandingEdit) -> str:
    edit = standing.edit
    value = "" if edit.mode is Mode.PROJECT_OUT else f" {standing.applied:.3g}"
    share = "" if standing.phase is Phase.HOLDING else f", {standing.phase.name.lower()}"
    return (
        f"{edit.site} #{edit.feature} {edit.mode.name.lower()}{value} "
        f"({standing.weight:.0%}{share})"
    )
