"""General or memorized: logistic regression on the generality metric (Swann et al. 2026)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from vla_sae_ros.core.errors import ConfigurationError, complaint

METRICS = ("coverage", "onset_count", "magnitude", "relative_run_length")
"""The classifier's inputs, in the order of its weights: c, o, a, l."""

_PUBLISHED = {
    "libero": (-4.2030308, (1.8008562, 1.8858431, 0.5163865, -0.3611446)),
    "droid": (-1.7824519, (2.3558869, 0.7408633, 0.3486593, -1.0442686)),
}


@dataclass(frozen=True)
class GeneralityClassifier:
    """P(general) = sigmoid(intercept + weights . (c, o, a, l)); general from 0.5 on.

    weights: in the order of METRICS, on raw values.
    """

    intercept: float
    weights: tuple[float, float, float, float]

    @classmethod
    def published(cls, name: str) -> GeneralityClassifier:
        """Return the published classifier "libero" or "droid"; ConfigurationError for another."""
        if name not in _PUBLISHED:
            raise ConfigurationError(
                complaint("published classifier", name, " or ".join(sorted(_PUBLISHED)))
            )
        intercept, weights = _PUBLISHED[name]
        return cls(intercept, weights)

    @classmethod
    def fit(cls, metrics: npt.ArrayLike, general: npt.ArrayLike) -> GeneralityClassifier:
        """Fit to hand labels as the paper does: scikit-learn's logistic regression with C = 1.

        Args:
            metrics: (n, 4) in the order of METRICS.
            general: (n,) bool.

        Raises:
            ConfigurationError: shapes that differ, a value that is not finite, or a class without
                a label.
        """
        x, y = _checked(metrics, general)
        fitted = LogisticRegression(C=1.0).fit(x, y)
        c, o, a, l = (float(weight) for weight in fitted.coef_[0])  # noqa: E741, the paper's names
        return cls(float(fitted.intercept_[0]), (c, o, a, l))

    def probability(
        self,
        coverage: npt.ArrayLike,
        onset_count: npt.ArrayLike,
        magnitude: npt.ArrayLike,
        relative_run_length: npt.ArrayLike,
    ) -> npt.NDArray[np.float64]:
        """Return P(general), in the broadcast shape of the four metrics.

        A feature that never fires has none: the caller leaves it out.
        """
        values = (coverage, onset_count, magnitude, relative_run_length)
        logit = self.intercept + sum(
            weight * np.asarray(value, np.float64)
            for weight, value in zip(self.weights, values, strict=True)
        )
        return np.asarray(1.0 / (1.0 + np.exp(-logit)))


def leave_one_out_accuracy(metrics: npt.ArrayLike, general: npt.ArrayLike) -> tuple[int, int]:
    """Return (right, n): each label predicted by a classifier fitted to all others.

    Raises:
        ConfigurationError: as `GeneralityClassifier.fit`, also for the n - 1 others.
    """
    x, y = _checked(metrics, general)
    right = 0
    for left_out in range(len(y)):
        others = np.arange(len(y)) != left_out
        classifier = GeneralityClassifier.fit(x[others], y[others])
        right += bool(classifier.probability(*x[left_out]) >= 0.5) == bool(y[left_out])
    return right, len(y)


def _checked(
    metrics: npt.ArrayLike, general: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    x, y = np.asarray(metrics, np.float64), np.asarray(general, bool)
    if x.ndim != 2 or x.shape[1] != len(METRICS) or y.shape != x.shape[:1]:
        raise ConfigurationError(
            complaint("shapes of metrics and labels", (x.shape, y.shape), "(n, 4) and (n,)")
        )
    if not np.isfinite(x).all():
        raise ConfigurationError(complaint("metrics of a label", x, "finite numbers"))
    if y.all() or not y.any():
        raise ConfigurationError(
            complaint("labels", f"{int(y.sum())} general of {len(y)}", "at least one of each class")
        )
    return x, y
