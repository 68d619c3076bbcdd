"""What happened at single moments of an episode: edits, other instructions, people's remarks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from vla_sae_ros.bags.episode_trace import EpisodeTrace, FeatureStream, SteeringNote
from vla_sae_ros.core.one_line import one_line

_LONGEST = 36
_ENDS_AN_EDIT = {"RELEASED", "LEASE_EXPIRED", "REMOVED"}
BEGINS, ENDS = "edit acts", "edit ends"
_CHANGES_ALL = {"RESET", "PRESET", "BYPASS"}


@dataclass(frozen=True)
class Mark:
    """A moment and what to write there."""

    step: int
    text: str
    by_person: bool
    """A remark; otherwise an event of the steering, or another instruction."""


def marks_of(trace: EpisodeTrace) -> list[Mark]:
    """Return the marks in the order of their steps; events of one step and kind share one.

    An event stands at the first observation whose inference was computed with it; one that no
    action of the episode was computed with changed nothing in it and has no mark. Where an edit
    begins or ends to act without an event of that moment, because it was set before the episode or
    has a condition or a duration, that is a mark as well.
    """
    notes = [
        replace(note, step=step)
        for note in trace.notes
        if (step := _effective(trace, note)) is not None
    ]
    together: dict[tuple[int, str], list[str]] = {}
    for note in notes:
        words = note.kind.lower().replace("_", " ")
        together.setdefault((note.step, words), []).append(_about(note))
    for step, words, site, feature in _effects(trace):
        if not any(_explains(note, step, words, site, feature) for note in notes):
            together.setdefault((step, words), []).append(f"{site} #{feature}")
    marks = [
        Mark(step, _cut(f"{words} {_listed(about)}"), False)
        for (step, words), about in together.items()
    ]
    marks += [Mark(step, _cut(f"told “{text}”"), False) for step, text in trace.instructions[1:]]
    marks += [
        Mark(each.step, _cut(f"“{each.text}” {each.author}"), True) for each in trace.annotations
    ]
    return sorted(marks, key=lambda mark: mark.step)


def _effective(trace: EpisodeTrace, note: SteeringNote) -> int | None:
    """Return the step of the first observation from the event on that carries its revision.

    None: no inference does, or none whose actions were executed, as after a reset at the end of the
    episode. Without any inference it is the event's own step.
    """
    if not trace.features:
        return note.step
    if len(trace.action_revision) and trace.action_revision.max() < note.revision:
        return None
    streams = (
        [trace.features[note.site]] if note.site in trace.features else trace.features.values()
    )
    steps = [
        int(step)
        for stream in streams
        for step, revision, start in zip(
            stream.step, stream.revision, stream.policy_start, strict=True
        )
        if step >= note.step and revision >= note.revision and start == note.policy_start
    ]
    return min(steps, default=None)


def _effects(trace: EpisodeTrace) -> Iterator[tuple[int, str, str, int]]:
    """Yield (step, BEGINS or ENDS, site, feature): where each edit acted first and last.

    What it does in between, going on and off by its condition, is shaded and not marked.
    """
    for site, stream in trace.features.items():
        for feature in stream.edited():
            first, end = _acted(stream, feature)
            yield first, BEGINS, site, feature
            if end is not None:
                yield end, ENDS, site, feature


def _acted(stream: FeatureStream, feature: int) -> tuple[int, int | None]:
    """Return the step at which an edit of the feature acted first, and the one after the last."""
    natural, applied = stream.dense([feature])
    rows = (natural[:, 0] != applied[:, 0]).nonzero()[0]
    after = int(rows[-1]) + 1
    return int(stream.step[rows[0]]), int(stream.step[after]) if after < len(stream.step) else None


def _explains(note: SteeringNote, step: int, words: str, site: str, feature: int) -> bool:
    """Tell whether an event of this moment says already that an edit begins or ends."""
    if note.step != step:
        return False
    own = (note.site, note.feature) == (site, feature)
    return note.kind in _CHANGES_ALL or (
        own and (note.kind == "SET" or (words == ENDS and note.kind in _ENDS_AN_EDIT))
    )


def _about(note: SteeringNote) -> str:
    if note.kind == "CAPPED":
        return note.site
    if note.site:
        return f"{note.site} #{note.feature}"
    return "" if note.kind == "RESET" else note.reason


def _listed(about: list[str]) -> str:
    names = list(dict.fromkeys(about))
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def _cut(text: str) -> str:
    text = one_line(text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
