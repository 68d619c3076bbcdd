"""Collecting activations through the serving path, while episodes run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vla_sae_ros.activations.format import Collection, CollectionError
from vla_sae_ros.activations.probes import SiteProbes
from vla_sae_ros.activations.writer import ActivationWriter
from vla_sae_ros.core.episode_status import EpisodeStatus
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.msg import EpisodeState
from vla_sae_ros.nodes.policy.inference_worker import Job
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.inference import Inference


class ActivationCollector:
    """Writes the activations of every inference at some sites.

    The activations of an inference are kept until the inference is done, because its action belongs
    to the record.

    Args:
        engine: gets a probe on each site.
        folder: an existing collection in it is continued.
        sites: site names.
        pooling: "mean" or "token".
        control_rate: [Hz] of the control ticks.
        tell: is told once when nothing more can be written, such as on a full disk; the policy goes
            on without collecting.

    Raises:
        ConfigurationError: no site named, an unknown one, or a folder that holds something else.
    """

    def __init__(
        self,
        engine: PolicyEngine,
        folder: Path,
        sites: Sequence[str],
        pooling: str,
        control_rate: float,
        tell: Callable[[str], None],
    ) -> None:
        if not sites:
            raise ConfigurationError(
                complaint("activations_sites", list(sites), f"some of {list(engine.adapter.sites)}")
            )
        self._lock = threading.Lock()
        self._episode = ""
        self.late = 0
        """Inferences that were done, or made anew, after their episode had ended: not written."""
        self.failure = ""
        """Why nothing is written any more; empty: all is well."""
        self.lost = 0
        """Inferences that were not written because of it."""
        self._tell = tell
        self._named: tuple[str, str] = ("", "")
        """An episode's id and its suite and task, as the bridge tells them."""
        self._probes = SiteProbes(engine, sites, pooling)
        loaded = engine.loaded
        self._writer = ActivationWriter(
            folder, Collection(loaded.policy_id, loaded.name, self._probes.sites, control_rate)
        )

    def close(self) -> None:
        """Write what is left; an episode that did not end is kept as incomplete."""
        with self._failure_told():
            self._writer.close()

    def add(self, job: Job, inference: Inference) -> None:
        """Write the activations of this inference, unless its episode has ended meanwhile."""
        context = {
            "episode_id": job.episode_id,
            "step": job.step,
            "instruction": job.instruction,
            "seed": job.seed,
            "state": job.frame.get("observation.state"),
            "action": inference.actions[0],
        }
        with self._lock:
            taken = self._probes.take()
            if not self.failure and job.episode_id in self._writer.completed_episodes:
                self.late += 1
                return
            self._episode = job.episode_id
            named, task = self._named
            context["task"] = task if named == job.episode_id else ""
            with self._failure_told():
                for name, (read, norm) in taken.items():
                    self._writer(name, read.cpu().numpy(), {**context, "residual_norm": norm})
            self.lost += bool(self.failure)

    def episode_changed(self, state: EpisodeState) -> None:
        """Note which task it is; end it in the folder when the bridge says that it has ended.

        A robot cannot tell whether it succeeded: that is unknown in the folder.
        """
        with self._lock:
            self._named = (state.episode_id, f"{state.suite} {state.task}" if state.suite else "")
            success = EpisodeStatus(state.status).success
            if success is not None and state.episode_id == self._episode:
                self._episode = ""
                with self._failure_told():
                    self._writer.end_episode(success if state.suite else None)

    @contextmanager
    def _failure_told(self) -> Iterator[None]:
        """Do nothing more after a failure to write, and tell of the first: the policy lives on."""
        try:
            yield
        except CollectionError as error:
            if not self.failure:
                self.failure = str(error)
                self._tell(f"activations are no longer collected: {error}")
