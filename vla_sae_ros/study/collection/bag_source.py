"""Episodes of a bag: the observations that the policy was asked about when it was recorded."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vla_sae_ros.activations.source import Answer, PolicyQuery
from vla_sae_ros.bags.opened_bag import open_bag
from vla_sae_ros.bags.reading import timeline_of
from vla_sae_ros.bags.recorded_frames import RecordedFrames
from vla_sae_ros.bags.recorded_inferences import RecordedInference, recorded_inferences
from vla_sae_ros.core.contract import Contract
from vla_sae_ros.core.episode_status import EpisodeStatus
from vla_sae_ros.core.errors import (
    ConfigurationError,
    ObservationError,
    RecordingError,
    complaint,
)


@dataclass(frozen=True)
class BagEpisode:
    """One recorded episode; replans at one observation count once."""

    folder: Path
    contract: Contract
    recorded: tuple[RecordedInference, ...]
    status: EpisodeStatus
    suite_task: str

    @property
    def episode_id(self) -> str:
        return self.recorded[0].episode_id

    @property
    def task(self) -> str:
        return self.suite_task

    @property
    def inferences(self) -> int:
        return len(self.recorded)

    def play(self, answer: Answer) -> bool | None:
        """Ask at every recorded observation, without steering; the answers go nowhere.

        Raises RecordingError for an observation that the bag does not hold whole.
        """
        with open_bag(self.folder) as bag:
            for inference, frame in RecordedFrames(bag, self.contract).of(self.recorded):
                if isinstance(frame, ObservationError):
                    raise RecordingError(
                        f"Episode {self.episode_id}, step {inference.step}: {frame} "
                        "Record with pictures to collect from a bag."
                    )
                answer(PolicyQuery(frame, inference.instruction, inference.seed, inference.step))
        return self.status.success


class BagSource:
    """Every episode of one bag that was recorded with pictures.

    Raises:
        RecordingError: no bag, or no inference in it.
        ConfigurationError: it was recorded at another control rate than the contract's.
    """

    def __init__(self, folder: Path, contract: Contract) -> None:
        self._folder, self._contract = folder, contract
        with open_bag(folder) as bag:
            self._spans = timeline_of(bag).spans
            self._inferences = recorded_inferences(bag).inferences
            for line in bag.findings.in_words():
                print(f"{folder}: {line}", file=sys.stderr)
        if not self._inferences:
            raise RecordingError(
                f"{folder} has no inference in it. Record policy/request and policy/action_chunk."
            )
        for rate in {span.control_rate for span in self._spans.values()} - {0.0}:
            if not math.isclose(rate, contract.fps, rel_tol=1e-4):
                raise ConfigurationError(
                    complaint(
                        f"control rate of {folder} [Hz]",
                        f"{rate:g}",
                        f"{contract.fps:g}, the contract's",
                        "Give the contract it was recorded with: --contract.",
                    )
                )

    @property
    def identity(self) -> str:
        return ""

    @property
    def control_rate(self) -> float:
        return self._contract.fps

    @property
    def state_names(self) -> tuple[str, ...]:
        return ()

    def episodes(self) -> Iterator[BagEpisode]:
        for episode_id in dict.fromkeys(one.episode_id for one in self._inferences):
            first_of_step: dict[int, RecordedInference] = {}
            for one in self._inferences:
                if one.episode_id == episode_id:
                    first_of_step.setdefault(one.step, one)
            span = self._spans.get(episode_id)
            yield BagEpisode(
                self._folder,
                self._contract,
                tuple(first_of_step.values()),
                span.status if span else EpisodeStatus.UNKNOWN,
                f"{span.suite} {span.task}" if span and span.suite else "",
            )

    def close(self) -> None:
        """Nothing is held open."""
