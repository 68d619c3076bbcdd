"""What must come out of any study: hooks at strength 0, and what nothing reads, do nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vla_sae_ros.study.experiment.records.table import Row


@dataclass(frozen=True)
class Exactness:
    """Runs that must equal the plain one to the bit. differing: those that do not, in words."""

    compared: int
    differing: tuple[str, ...]

    def in_words(self, what: str) -> str:
        """Return a sentence, empty where nothing was compared."""
        if not self.compared:
            return ""
        if not self.differing:
            return f"{what}: {self.compared} of {self.compared} bit-identical to the plain policy."
        return (
            f"{what}: {len(self.differing)} of {self.compared} NOT identical to the plain "
            f"policy: {'; '.join(self.differing[:5])}."
        )


def hook_at_zero(rows: Sequence[Row]) -> Exactness:
    """Compare every run of the arm "zero" with the plain one."""
    return _compared(rows, [row for row in rows if row.arm == "zero"])


def unread_sites(rows: Sequence[Row], sites: Sequence[str]) -> Exactness:
    """Compare every run of P4 at a site that nothing reads with the plain one."""
    return _compared(rows, [row for row in rows if row.protocol == "P4" and row.site in sites])


def _compared(rows: Sequence[Row], wanted: Sequence[Row]) -> Exactness:
    plain = {(row.protocol, row.pair): row for row in rows if row.arm == "none"}
    compared, differing = 0, []
    for row in wanted:
        if row.policy_batch > 1 or row.compiled:
            continue  # who is beside a row decides how it rounds; compiled, both are one graph
        baseline = plain.get((row.protocol, row.pair))
        if baseline is None:
            continue
        compared += 1
        if row.actions_sha256 != baseline.actions_sha256:
            differing.append(f"{row.protocol} {row.arm_name}, {row.pair}")
    return Exactness(compared, tuple(differing))
