"""What the catalogue calls a feature, and how large it gets."""

from __future__ import annotations

from typing import Any

from vla_sae_ros.core.one_line import one_line
from vla_sae_ros.study.plots.feature_choice import FeatureName


class FeatureNames:
    """Of the newest catalogue; features that it lacks have a number only."""

    def __init__(self) -> None:
        self._labels: dict[FeatureName, str] = {}
        self._largest: dict[FeatureName, float] = {}

    def learn(self, catalogue: Any) -> None:
        """Take a FeatureCatalogue message in place of the one before."""
        entries = {(each.site, int(each.feature)): each for each in catalogue.features}
        self._labels = {name: one_line(each.label) for name, each in entries.items()}
        self._largest = {name: float(each.observed_max) for name, each in entries.items()}

    def label(self, name: FeatureName) -> str:
        """Return the feature's label; empty where it has none."""
        return self._labels.get(name, "")

    def title(self, name: FeatureName) -> str:
        """Return site, number and label in one line."""
        return f"{name[0]} #{name[1]} {self.label(name)}".rstrip()

    def observed_max(self, name: FeatureName) -> float:
        """Return the largest activation in the SAE's data [SAE units]; 0 where it is not known."""
        largest = self._largest.get(name, 0.0)
        return largest if largest > 0 else 0.0
