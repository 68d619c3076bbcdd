"""How pytest-xdist hands the groups of worker_groups.py to its worker processes."""

from __future__ import annotations

import pytest
from worker_groups import group_of
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController


class GroupScheduling(LoadScopeScheduling):
    """Hands out whole groups, in the order in which their first tests were collected.

    xdist's own `--dist loadgroup` writes the groups into `Item._nodeid`, which pytest 9.2 does not
    read any more: every test was a group of its own.
    """

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        self._repeated: set[str] = set()

    def mark_test_pending(self, item: str) -> None:
        """Let a test at which a worker died run again, as a group of its own."""
        self._repeated.add(item)
        self.workqueue[item] = {item: False}

    def remove_node(self, node: WorkerController) -> str | None:
        """Return the test at which the worker died, if it did; the rest of its work is handed out.

        Others of xdist's schedulers run that test again only after `mark_test_pending`, too;
        LoadScopeScheduling always did, until no worker was left.
        """
        for work_unit in self.assigned_work[node].values():
            for test, completed in work_unit.items():
                if not completed:
                    work_unit[test] = True
                    super().remove_node(node)
                    return test
        return super().remove_node(node)

    def _split_scope(self, nodeid: str) -> str:
        if nodeid in self._repeated:
            return nodeid
        return group_of(self.config.rootpath / nodeid.split("::", 1)[0])

    def _reschedule(self, node: WorkerController) -> None:
        """Let a worker have two tests, or be told that none will follow.

        A worker begins a test when it knows what comes after it. A group of a single test is not
        enough for one that takes the place of a worker that died: both sides would wait for ever.
        """
        super()._reschedule(node)
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)
