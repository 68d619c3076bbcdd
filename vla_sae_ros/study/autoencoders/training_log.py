"""The curve of a training run: as lines of JSON, and for TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

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

    def __call__(self, report: StepReport) -> None:
        """Keep the numbers of this step if it is one to keep."""
        if self._writer is None:
            self._begin(report.step)
        assert self._writer is not None
        if report.step % _PERIOD:
            return
        numbers = {
            "fvu": float(report.fvu),
            "auxiliary": float(report.auxiliary),
            "l0": float(report.l0),
            "learning_rate": report.rate,
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": report.step, **numbers}) + "\n")
        for name, number in numbers.items():
            self._writer.add_scalar(f"train/{name}", number, report.step)

    def close(self) -> None:
        """Close what TensorBoard reads."""
        if self._writer is not None:
            self._writer.close()

    def _begin(self, step: int) -> None:
        kept = [line for line in read_curve(self._folder) if line["step"] < step]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        self._path.write_text(text, encoding="utf-8")
        self._writer = SummaryWriter(str(self._folder), purge_step=step or None)


def read_curve(folder: Path) -> list[dict[str, float]]:
    """Return the kept steps; a last line that was being written is left out."""
    path = folder / CURVE_FILE
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
