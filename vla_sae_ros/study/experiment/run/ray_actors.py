"""Workers as actors on a Ray cluster, one per CPU of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.batches.ray_cluster import RayActorError, RayTaskError, join_cluster, ray
from vla_sae_ros.study.experiment.design.plan import PlannedRun
from vla_sae_ros.study.experiment.records.outcome import Result
from vla_sae_ros.study.experiment.run.hooks import OwnSetup
from vla_sae_ros.study.experiment.run.setup import SetupSpec
from vla_sae_ros.study.experiment.run.worker import Worker


class RayActors:
    """`worker_pool.WorkerPool` as actors.

    Args:
        address: "auto" for the cluster this machine belongs to, or "host:port".
        count: workers; 0: one per CPU of the cluster.

    Raises:
        ConfigurationError: no cluster there.
    """

    def __init__(self, address: str, count: int, spec: SetupSpec, folder: Path) -> None:
        join_cluster(address)
        self.count = count or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._spec, self._folder = spec, folder
        self._actors: dict[int, Any] = {}
        self._under_way: dict[Any, int] = {}

    @property
    def nodes(self) -> int:
        """Machines of the cluster."""
        return sum(one["Alive"] for one in ray.nodes())

    def give(self, worker: int, run: PlannedRun) -> None:
        """Let an idle worker make a run."""
        if worker not in self._actors:
            self._actors[worker] = _Actor.remote(self._spec, self._folder)
        self._under_way[self._actors[worker].run.remote(run)] = worker

    def wait(self) -> list[tuple[int, Result | str]]:
        """Wait until a worker is done; see `worker_pool.WorkerPool.wait`."""
        done, _ = ray.wait(list(self._under_way), num_returns=1)
        return [self._taken(reference) for reference in done]

    def close(self) -> None:
        """Stop every worker and leave the cluster."""
        for worker in list(self._actors):
            self._dismiss(worker)
        ray.shutdown()

    def _taken(self, reference: Any) -> tuple[int, Result | str]:
        worker = self._under_way.pop(reference)
        try:
            return worker, ray.get(reference)
        except RayTaskError as error:
            reason = f"{type(error.cause).__name__}: {error.cause}"
            if isinstance(error.cause, ConfigurationError):
                raise ConfigurationError(str(error.cause)) from error
        except RayActorError as error:
            reason = f"its worker is gone: {str(error).splitlines()[0]}"
        self._dismiss(worker)
        return worker, reason

    def _dismiss(self, worker: int) -> None:
        ray.kill(self._actors.pop(worker))


class _RemoteWorker:
    """A worker; it opens its setup with the first run, so that its errors arrive as such."""

    def __init__(self, spec: SetupSpec, folder: Path) -> None:
        self._spec, self._folder = spec, folder
        self._worker: Worker | None = None

    def run(self, run: PlannedRun) -> Result:
        if self._worker is None:
            self._worker = Worker(OwnSetup(self._spec.open()), self._folder)
        return self._worker.run(run.settings, run.task, run.filmed)


_Actor: Any = ray.remote(num_cpus=1, max_restarts=0)(_RemoteWorker)
