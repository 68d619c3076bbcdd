"""The curve of a training run: as lines of JSON, and for TensorBoard."""

from __future__ import annotations

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from vla_sae_ros.core.journal import Journal, read_journal
from vla_sae_ros.core.whole_file import whole_file
from vla_sae_ros.sae.training.training import StepReport

CURVE_FILE = "curve.jsonl"
_PERIOD = 20  # [steps] a number brought from a GPU at every step would slow training


class TrainingLog:
    """Hears every step of `sae.training.train` and keeps every twentieth.

    A resumed run goes on in the same files; what an interrupted one wrote after its last
    checkpoint is written again in its place.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / CURVE_FILE
        self._folder = folder
        self._writer: SummaryWriter | None = None
        self._journal: Journal | None = None

    def __call__(self, report: StepReport) -> None:
        """Keep the numbers of this step if it is one to keep."""
        if self._writer is None:
            self._begin(report.step)
        assert self._writer is not None and self._journal is not None
        if report.step % _PERIOD:
            return
        numbers = {
            "fvu": float(report.fvu),
            "auxiliary": float(report.auxiliary),
            "l0": float(report.l0),
            "learning_rate": report.rate,
        }
        self._journal.add({"step": report.step, **numbers})
        for name, number in numbers.items():
            self._writer.add_scalar(f"train/{name}", number, report.step)

    def close(self) -> None:
        """Close both files."""
        if self._writer is not None:
            self._writer.close()
        if self._journal is not None:
            self._journal.close()

    def _begin(self, step: int) -> None:
        kept = [line for line in read_curve(self._folder) if line["step"] < step]
        with whole_file(self._path) as part, Journal(part) as journal:
            for line in kept:
                journal.add(line)
        self._journal = Journal(self._path)
        self._writer = SummaryWriter(str(self._folder), purge_step=step or None)


def read_curve(folder: Path) -> list[dict[str, float]]:
    """Return the kept steps. Raises RecordingError for a damaged line."""
    return list(read_journal(folder / CURVE_FILE, dict).entries)
