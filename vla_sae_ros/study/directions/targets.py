"""What a direction is to tell: success, a state variable, or one kind of steps from another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_sae_ros.activations.format import EpisodeRecord
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.study.features.split_variables import SplitPart

Values = npt.NDArray[np.float64]

SUCCESS = "success"
_MINUS = " - "


@dataclass(frozen=True)
class Target:
    """What a direction is fitted to, over the inferences of the training and held-out episodes.

    training, held_out: (n,) float64, NaN where unknown; 0 and 1 where it is binary.
    """

    name: str
    training: Values
    held_out: Values

    @property
    def is_binary(self) -> bool:
        """Whether every known value is 0 or 1."""
        values = np.concatenate([self.training, self.held_out])
        return bool(np.isin(values[np.isfinite(values)], (0.0, 1.0)).all())


@dataclass(frozen=True)
class Parts:
    """Training and held-out episodes with their activations and variables."""

    training_episodes: Sequence[EpisodeRecord]
    held_out_episodes: Sequence[EpisodeRecord]
    training: SplitPart
    held_out: SplitPart


def make_target(name: str, parts: Parts, binary: bool) -> Target:
    """Return the target of this name.

    Args:
        name: "success", a state variable (see `state_variables`), a part of the name of only one,
            or "A - B": 1 where A holds, 0 where B does.
        parts: what it is about.
        binary: it must have two values, as that of a conceptor does.

    Raises:
        ConfigurationError: no such variable, or one that does not vary in one of the parts.
    """
    known = _known(parts)
    first, minus, second = name.partition(_MINUS)
    if minus:
        one, other = (_found(part.strip(), known, True) for part in (first, second))
        target = _contrast(name, known[one], known[other])
    else:
        target = known[_found(name, known, binary)]
    for part, values in (("training", target.training), ("held-out", target.held_out)):
        there = values[np.isfinite(values)]
        if len(there) == 0 or there.min() == there.max():
            said = "none is known" if len(there) == 0 else f"all are {there[0]:g}"
            raise ConfigurationError(
                complaint(
                    f"values of {target.name!r} in the {part} episodes",
                    said,
                    "at least two different ones",
                    "Collect more episodes, or divide them otherwise: --seed, --held-out.",
                )
            )
    return target


def _known(parts: Parts) -> Mapping[str, Target]:
    success = [
        np.array([np.nan if one.success is None else float(one.success) for one in episodes])
        for episodes in (parts.training_episodes, parts.held_out_episodes)
    ]
    known = {
        SUCCESS: Target(
            SUCCESS,
            success[0][parts.training.data.episode],
            success[1][parts.held_out.data.episode],
        )
    }
    for one, other in zip(parts.training.variables, parts.held_out.variables, strict=True):
        known[one.name] = Target(one.name, one.values, other.values)
    return known


def _found(name: str, known: Mapping[str, Target], binary: bool) -> str:
    fitting = [one for one, target in known.items() if target.is_binary or not binary]
    if name in fitting:
        return name
    holding = [one for one in fitting if name and name.casefold() in one.casefold()]
    if len(holding) == 1:
        return holding[0]
    what = "variable of two values" if binary else "state variable"
    if name in known:
        next_step = "It is a number: fit a --probe or a --mean-difference to it."
    else:
        next_step = "Write one of these, or a part that only one of them has."
    raise ConfigurationError(complaint(what, name, holding or fitting, next_step))


def _contrast(name: str, one: Target, other: Target) -> Target:
    def between(holds: Values, against: Values) -> Values:
        both = (holds == 1.0) & (against == 1.0)
        values = np.where(holds == 1.0, 1.0, np.where(against == 1.0, 0.0, np.nan))
        return np.where(both, np.nan, values)

    return Target(
        name, between(one.training, other.training), between(one.held_out, other.held_out)
    )
