"""What an episode is doing, as EpisodeState.status numbers it: nodes, panel and bags share it."""

from __future__ import annotations

from enum import IntEnum


class EpisodeStatus(IntEnum):
    """EpisodeState.status. A number that this version does not know reads as UNKNOWN."""

    IDLE = 0
    RESETTING = 1
    RUNNING = 2
    HOLDING = 3
    SUCCEEDED = 4
    FAILED = 5
    CANCELED = 6
    ERROR = 7
    UNKNOWN = 255

    @classmethod
    def _missing_(cls, value: object) -> EpisodeStatus | None:
        return cls.UNKNOWN if isinstance(value, int) else None

    @property
    def words(self) -> str:
        """The status for a sentence or a caption, e.g. "succeeded"."""
        return self.name.lower()

    @property
    def under_way(self) -> bool:
        """Whether an episode is being set up or runs."""
        return self in (EpisodeStatus.RESETTING, EpisodeStatus.RUNNING, EpisodeStatus.HOLDING)

    @property
    def ended(self) -> bool:
        """Whether an episode has come to its end, whichever; idle is no end."""
        return self in (
            EpisodeStatus.SUCCEEDED,
            EpisodeStatus.FAILED,
            EpisodeStatus.CANCELED,
            EpisodeStatus.ERROR,
        )

    @property
    def success(self) -> bool | None:
        """Whether the task was done; None where the episode does not tell."""
        return {EpisodeStatus.SUCCEEDED: True, EpisodeStatus.FAILED: False}.get(self)
