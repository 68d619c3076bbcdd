"""Which of a scene's objects an instruction speaks of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class TaskObjects:
    """Names of the object to be moved and of where it goes; empty where that cannot be told."""

    target: str = ""
    goal: str = ""


def task_objects(instruction: str, objects: Iterable[str]) -> TaskObjects:
    """Match object names such as "cream_cheese_1" with the words of the instruction.

    An object is mentioned where the last word of its name (without the number) stands. Of several
    mentioned at one place, the one of which most words are in the instruction counts; two that
    match equally well cannot be told apart and count as not mentioned. The object mentioned first
    is the target, the one mentioned last the goal.
    """
    said = re.findall(r"[a-z]+", instruction.lower())
    at: dict[int, list[tuple[int, str]]] = {}
    for name in objects:
        words = re.findall(r"[a-z]+", name.lower())
        if words and words[-1] in said:
            matched = sum(word in said for word in words)
            at.setdefault(said.index(words[-1]), []).append((matched, name))
    mentioned = []
    for _, candidates in sorted(at.items()):
        most = max(matched for matched, _ in candidates)
        best = [name for matched, name in candidates if matched == most]
        mentioned += best if len(best) == 1 else []
    if not mentioned:
        return TaskObjects()
    return TaskObjects(mentioned[0], mentioned[-1] if len(mentioned) > 1 else "")
