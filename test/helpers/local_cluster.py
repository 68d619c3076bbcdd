"""A Ray cluster of several nodes on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

STORE = 80 * 2**20  # [bytes], the least that Ray takes
ATTEMPTS = 4
"""Ray gives a node 30 s to start, which a crowded machine may not have for it."""


@contextmanager
def local_cluster(cpus: Sequence[int], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the address of a cluster with so many CPUs on its nodes."""
    import ray

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    nodes = _started(cpus)
    yield nodes.address
    ray.shutdown()
    nodes.shutdown()


def _started(cpus: Sequence[int]):
    from ray.cluster_utils import Cluster

    for attempt in range(1, ATTEMPTS + 1):
        nodes = Cluster()
        try:
            for each in cpus:
                nodes.add_node(num_cpus=each, object_store_memory=STORE, include_dashboard=False)
        except Exception:
            nodes.shutdown()
            if attempt == ATTEMPTS:
                raise
        else:
            return nodes
    raise AssertionError
