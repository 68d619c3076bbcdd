"""Label and notes that people write about features, until the bundle has them. No Qt."""

from __future__ import annotations

from dataclasses import dataclass

from vla_sae_ros.panel.state.values import FeatureName


@dataclass(frozen=True)
class Writing:
    """What is written about one feature."""

    label: str
    notes: str


class Drafts:
    """Keeps every writing that the policy's catalogue does not hold: a refused text is not lost."""

    def __init__(self) -> None:
        """Start without drafts."""
        self._drafts: dict[FeatureName, Writing] = {}
        self._sent: dict[FeatureName, Writing] = {}

    def text(self, name: FeatureName, known: Writing) -> Writing:
        """Return what to show: the draft, or what the catalogue knows where there is none."""
        if self._drafts.get(name) == known:
            self._drafts.pop(name, None)
            self._sent.pop(name, None)
        return self._drafts.get(name, known)

    def write(self, name: FeatureName, writing: Writing, known: Writing) -> None:
        """Note what the operator has typed so far."""
        if writing == known:
            self._drafts.pop(name, None)
        else:
            self._drafts[name] = writing

    def to_send(self, name: FeatureName) -> Writing | None:
        """Return the draft if it was not sent yet."""
        draft = self._drafts.get(name)
        return draft if draft != self._sent.get(name) else None

    def sent(self, name: FeatureName, writing: Writing) -> None:
        """Note that the policy was asked to keep it."""
        self._sent[name] = writing

    def state(self, name: FeatureName) -> str:
        """Return in words whether the bundle has what is shown; empty when it has."""
        if name not in self._drafts:
            return ""
        if self.to_send(name) is None:
            return "Sent, and not confirmed by the policy: this text is only here so far."
        return "Not saved yet: it is sent when you leave the field."
