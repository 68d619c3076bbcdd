"""Another episode's residual stream in the episodes of a simulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from vla_sae_ros.core.errors import ConfigurationError, ObservationError, complaint
from vla_sae_ros.core.readout import injected_readout
from vla_sae_ros.core.steering import Snapshot
from vla_sae_ros.msg import EpisodeState
from vla_sae_ros.nodes.policy.inference_worker import Job, infer_with
from vla_sae_ros.policy.inference import Engine, Inference
from vla_sae_ros.policy.taps.injection import Injection, OtherStream, Taken


@dataclass(frozen=True)
class Donor:
    """An episode whose stream is injected.

    Attributes:
        episode_id: of it.
        streams: of its inferences, one per observation, in their order.
        facts: what the node's description says of it.
    """

    episode_id: str
    streams: tuple[Taken, ...]
    facts: Mapping[str, object]


class InjectedStream:
    """Gives inference number n of an episode the stream of the donor's inference number n.

    One number per observation, however often it is inferred from: a replan has the same stream
    again. After the donor's last inference, and in an episode whose beginning was missed, the
    policy has its own stream.

    Args:
        engine: infers; used by one thread.
        injection: attached to it.
        donor: what is injected.
        tell: is told when an episode has its own stream again.
    """

    def __init__(
        self, engine: Engine, injection: Injection, donor: Donor, tell: Callable[[str], None]
    ) -> None:
        self._infer, self._injection = infer_with(engine), injection
        self._donor, self._tell = donor, tell
        self._simulated = ""  # the newest episode, where it is one of a simulation
        self._episode, self._step, self._number = "", -1, 0

    @property
    def site(self) -> str:
        return self._injection.site.name

    @property
    def facts(self) -> Mapping[str, object]:
        return self._donor.facts

    def episode_changed(self, state: EpisodeState) -> None:
        """Note whether the episode is one of a simulation: a robot's has no suite and no task."""
        self._simulated = state.episode_id if state.suite and state.task >= 0 else ""

    def check(self, job: Job) -> None:
        """Raise ConfigurationError for an episode that is not known to be a simulation's."""
        if job.episode_id and job.episode_id == self._simulated:
            return
        raise ConfigurationError(
            complaint(
                "episode of a policy with an injected stream",
                job.episode_id,
                "one that the simulation's bridge has announced on `episode`",
                "On a robot, start the policy node without the parameter `inject`.",
            )
        )

    def infer(self, job: Job, snapshot: Snapshot) -> Inference:
        """Infer with the donor's stream where the steering says so; tell its share beside the taps.

        Raises:
            ObservationError: of the engine's, or the donor's inference had other tokens.
        """
        number, donor = self._number_of(job), self._donor.streams
        given = donor[number] if snapshot.injection and number < len(donor) else None
        self._injection.give(given)
        try:
            inference = self._infer(job, snapshot)
        except OtherStream as error:
            raise ObservationError(str(error)) from error
        finally:
            self._injection.give(None)
        told = injected_readout(self.site, self._injection.ratio)
        return replace(inference, read_out=lambda: (*inference.sites, told))

    def _number_of(self, job: Job) -> int:
        """Count the observations of the job's episode, from 0."""
        last = len(self._donor.streams)
        if job.episode_id != self._episode:
            self._episode = job.episode_id
            self._number = 0 if job.step == 0 else last
            if job.step:
                self._tell(
                    f"{job.episode_id} has its own residual stream: the first observation heard of "
                    f"it is of step {job.step}"
                )
        elif job.step > self._step:
            self._number += 1
            if self._number == last:
                self._tell(
                    f"{job.episode_id} has its own residual stream from step {job.step} on: the "
                    f"donor had {last} inferences"
                )
        self._step = job.step
        return self._number
