"""Who made a run, and how long it took."""

from __future__ import annotations

import os
import socket
import time

from vla_sae_ros.study.experiment.records.outcome import RunOutcome


class Timed:
    """A clock that starts when it is made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def outcome(
        self,
        success: bool | None,
        steps: int,
        sha256: str,
        edit_ratio: float = 0.0,
        capped_share: float = 0.0,
        acted_share: float = 0.0,
    ) -> RunOutcome:
        """Return the outcome of the run that ends now."""
        return RunOutcome(
            success,
            steps,
            sha256,
            edit_ratio,
            capped_share,
            acted_share,
            time.perf_counter() - self._started,
            f"{socket.gethostname()} {os.getpid()}",
        )
