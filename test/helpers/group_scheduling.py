"""How pytest-xdist hands the groups of worker_groups.py to its worker processes."""

from __future__ import annotations

from worker_groups import group_of
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController


class GroupScheduling(LoadScopeScheduling):
    """Hands out whole groups, in the order in which their first tests were collected.

    xdist's own `--dist loadgroup` writes the groups into `Item._nodeid`, which pytest 9.2 does not
    read any more: every test was a group of its own.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(self.config.rootpath / nodeid.split("::", 1)[0])

    def _reschedule(self, node: WorkerController) -> None:
        """Let a worker have two tests, or be told that none will follow.

        A worker begins a test when it knows what comes after it. A group of a single test is not
        enough for one that takes the place of a worker that died: both sides would wait for ever.
        """
        super()._reschedule(node)
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)
