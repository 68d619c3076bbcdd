"""What came of one run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class RunOutcome:
    """The numbers of one run; their meaning is that of `table.Row`.

    success: None where nothing could succeed.
    """

    success: bool | None
    steps: int
    actions_sha256: str
    edit_ratio: float
    capped_share: float
    acted_share: float
    seconds: float
    worker: str

    def to_dict(self) -> dict[str, Any]:
        """Return what the journal keeps."""
        return asdict(self)


@dataclass(frozen=True)
class Result:
    """One finished run on its way to the store: numbers, the .npz file, perhaps a video."""

    outcome: RunOutcome
    file: bytes
    video: bytes = b""
