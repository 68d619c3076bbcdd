"""proposals.jsonl, beside a bundle's catalogue: names that a vision model proposed.

A proposal is no label: it stays out of the catalogue until a person takes it over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.journal import append_to_journal, read_journal

PROPOSALS_FILE = "proposals.jsonl"
Moment = tuple[str, int]
"""Episode id and control step."""


@dataclass(frozen=True)
class Proposal:
    """What a model said of one feature.

    question: SHA-256 of what it was shown and asked, so that the same is not asked twice.
    answers: its words, whole: to the question for a name, and to the test. name, description: empty
    where the first answer could not be read. shown, contrast: moments at which the feature is most
    active, and silent, that the name rests on. tested: moments of held-out episodes, and fires:
    whether the feature fires there; right: how many of them the model told from the name, None
    where it could not be tested. tokens: as the endpoint counts them.
    """

    bundle_id: str
    feature: int
    url: str
    model: str
    asked: str
    question: str
    shown: tuple[Moment, ...]
    contrast: tuple[Moment, ...]
    answers: tuple[str, ...]
    name: str
    description: str
    tested: tuple[Moment, ...]
    fires: tuple[bool, ...]
    right: int | None
    tokens: int

    @property
    def score(self) -> str:
        """Return the test's outcome in words, as "9 of 10"; "not tested" without one."""
        return "not tested" if self.right is None else f"{self.right} of {len(self.tested)}"


def add_proposal(folder: Path, proposal: Proposal) -> None:
    """Append a proposal to a bundle's file; after a crash no other line is lost."""
    append_to_journal(folder / PROPOSALS_FILE, asdict(proposal), synced=True)


def read_proposals(folder: Path, bundle_id: str) -> list[Proposal]:
    """Return a bundle's proposals in the order in which they came; none without a file.

    A last line that was cut by a crash is passed over. Raises ConfigurationError for any other
    damaged line and for a proposal about another bundle.
    """
    path = folder / PROPOSALS_FILE
    found = list(read_journal(path, _proposal, "Delete this line.", ConfigurationError).entries)
    others = {one.bundle_id for one in found} - {bundle_id}
    if others:
        raise ConfigurationError(
            f"{path} has proposals about another bundle, {', '.join(sorted(others))}; this one is "
            f"{bundle_id}. It was copied from there: delete it."
        )
    return found


def _proposal(content: dict[str, Any]) -> Proposal:
    for name in ("shown", "contrast", "tested"):
        content[name] = tuple((str(episode), int(step)) for episode, step in content[name])
    for name in ("answers", "fires"):
        content[name] = tuple(content[name])
    return Proposal(**content)


def best(proposals: Sequence[Proposal]) -> dict[int, Proposal]:
    """Return each feature's proposal with the most right answers; of equal ones the newest."""
    chosen: dict[int, Proposal] = {}
    for one in proposals:
        old = chosen.get(one.feature)
        if one.name and (old is None or (one.right or 0) >= (old.right or 0)):
            chosen[one.feature] = one
    return chosen
