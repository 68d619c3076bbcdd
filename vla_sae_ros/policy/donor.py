"""A donor's episode inferred again, for the residual streams that an injection plays in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.errors import ObservationError
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.taps.injection import Injection, Taken

Actions = npt.NDArray[np.float32]


class Asked(Protocol):
    """What the policy was asked in one inference."""

    @property
    def instruction(self) -> str: ...

    @property
    def seed(self) -> int: ...

    @property
    def step(self) -> int: ...


@dataclass(frozen=True)
class Given:
    """One inference of the donor: its chunk (H, A), and what passed the site."""

    step: int
    actions: Actions
    taken: Taken


def given_streams(
    engine: PolicyEngine,
    injection: Injection,
    looks: Iterable[tuple[Asked, Mapping[str, npt.NDArray[Any]] | ObservationError]],
) -> Iterator[Given]:
    """Infer a donor's episode again, without steering, and keep what passes the site.

    looks: each inference with the frame that it saw; one without a frame is left out.
    """
    injection.give(None)
    for asked, frame in looks:
        if isinstance(frame, ObservationError):
            continue
        actions = engine.infer(frame, asked.instruction, (asked.seed, asked.step)).actions
        yield Given(asked.step, actions, injection.taken())
