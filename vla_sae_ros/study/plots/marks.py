"""What happened in an episode at single moments: changes of the steering, remarks of people."""

from __future__ import annotations

from dataclasses import dataclass

from vla_sae_ros.bags.episode_trace import EpisodeTrace, SteeringNote

_LONGEST = 36


@dataclass(frozen=True)
class Mark:
    """A moment and what to write there."""

    step: int
    text: str
    by_person: bool
    """A remark; otherwise an event of the steering."""


def marks_of(trace: EpisodeTrace) -> list[Mark]:
    """Return the marks in the order of their steps; events of one step and kind share one."""
    together: dict[tuple[int, str], list[str]] = {}
    for note in trace.notes:
        about = _about(note)
        together.setdefault((note.step, note.kind), []).append(about)
    marks = [
        Mark(step, _cut(f"{kind.lower().replace('_', ' ')} {_listed(about)}"), False)
        for (step, kind), about in together.items()
    ]
    marks += [
        Mark(each.step, _cut(f"“{each.text}” {each.author}"), True) for each in trace.annotations
    ]
    return sorted(marks, key=lambda mark: mark.step)


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
    text = text.strip()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
