"""A Ray cluster of several nodes on this machine."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from patience import PATIENCE

STORE = 80 * 2**20  # [bytes], the least that Ray takes
ATTEMPTS = 4
"""Some of the waits of a node that starts are Ray's own, and short."""


@contextmanager
def local_cluster(cpus: Sequence[int], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the address of a cluster with so many CPUs on its nodes."""
    import ray

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with monkeypatch.context() as starting:
        _be_patient(starting)
        nodes = _started(cpus)
    try:
        yield nodes.address
    finally:
        ray.shutdown()  # first: Ray ends a process that is still in a cluster that is gone
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


def _be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a node register for as long as its processes live: Ray gives it 30 s."""
    from ray._private import services
    from ray._private.node import Node

    get_node, start = services.get_node, Node.start_ray_processes
    starting: list[Node] = []

    def started(self: Node) -> None:
        starting.append(self)
        start(self)

    def wait_for_node(*asked):
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return get_node(*asked)
            except RuntimeError:  # it has not registered yet
                if starting[-1].dead_processes() or time.monotonic() > until:
                    raise
            time.sleep(0.1)

    monkeypatch.setattr(Node, "start_ray_processes", started)
    monkeypatch.setattr(services, "get_node", wait_for_node)
