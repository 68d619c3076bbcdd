"""What a reader had to leave out of a bag, and what else is worth saying about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from vla_sae_ros.core.one_line import printable

LEFT_OUT_STATUS = 3
"""Exit status of a command that did its work on a bag of which parts could not be read."""


@dataclass
class Findings:
    """Grows while a bag is read; the same message counts once, however often it is read."""

    notes: dict[str, None] = field(default_factory=dict)
    """In words, in order: what is unusual, but complete."""
    _left_out: dict[tuple[str, str], set[Hashable]] = field(
        default_factory=lambda: defaultdict(set)
    )
    _changed: dict[tuple[str, str], set[Hashable]] = field(default_factory=lambda: defaultdict(set))
    _damages: dict[str, None] = field(default_factory=dict)

    def leave_out(self, topic: str, why: str, message: Hashable) -> None:
        """Count one message of a topic that could not be used; `message` tells it from others."""
        self._left_out[topic, why].add(message)

    def change(self, topic: str, why: str, message: Hashable) -> None:
        """Count one message of a topic that is read, but not as it was recorded."""
        self._changed[topic, why].add(message)

    def damage(self, words: str) -> None:
        """Keep what is lost and cannot be counted in messages."""
        self._damages[words] = None

    def note(self, words: str) -> None:
        """Keep what is worth saying and lost nothing."""
        self.notes[words] = None

    @property
    def messages(self) -> int:
        """Messages left out."""
        return sum(len(each) for each in self._left_out.values())

    @property
    def whole(self) -> bool:
        """Nothing was left out or changed."""
        return not (self._left_out or self._changed or self._damages)

    @property
    def status(self) -> int:
        """Exit status of a command that else succeeded."""
        return 0 if self.whole else LEFT_OUT_STATUS

    def lost(self) -> Iterator[str]:
        """Yield in words what was left out and how much."""
        yield from self._damages
        yield from _counted(self._left_out)

    def changed(self) -> Iterator[str]:
        """Yield in words what was read otherwise than it was recorded, and how much."""
        yield from _counted(self._changed)

    def in_words(self) -> Iterator[str]:
        """Yield everything, a printable line each."""
        yield from (printable(f"left out: {line}") for line in self.lost())
        yield from (printable(f"changed: {line}") for line in self.changed())
        yield from (printable(f"note: {line}") for line in self.notes)


def _counted(found: dict[tuple[str, str], set[Hashable]]) -> Iterator[str]:
    for (topic, why), of in sorted(found.items()):
        yield f"{len(of)} {'message' if len(of) == 1 else 'messages'} of {topic}: {why}"
