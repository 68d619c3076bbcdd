"""What a study cannot ask of a compiled policy, refused before a run is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.compiled.edit_buffers import SLOTS
from vla_sae_ros.study.experiment.design.settings import RunSettings
from vla_sae_ros.study.experiment.design.study_file import Study

_REASONS = {
    "P4": "its directions act at sites that the compiled graph has no tap of",
    "P5": "it measures what taps cost, and the compiled graph always has them "
    "(python bench/compiled_taps.py measures that)",
    "injection": "it replaces the residual stream, which the compiled graph cannot",
}


def check_compiled(study: Study) -> None:
    """Refuse protocols and arms that a compiled policy has not.

    Raises:
        ConfigurationError: the study has one of them.
    """
    asked = {*study.protocols, *(("injection",) if study.injection else ())}
    for name, reason in _REASONS.items():
        if name in asked:
            raise ConfigurationError(
                complaint(
                    f"--compile with {name}: {reason}",
                    name,
                    "P1, P2 and P3 without injections",
                    "Make a study of its own of it, without --compile.",
                )
            )


def check_slots(settings: Sequence[RunSettings]) -> None:
    """Refuse more changes of one site than the compiled graph has slots.

    Raises:
        ConfigurationError: a run has them.
    """
    for run in settings:
        for site, count in Counter(change.site for change in run.changes).items():
            if count > SLOTS:
                raise ConfigurationError(
                    complaint(
                        f"changes of {site} in one run with --compile", count, f"at most {SLOTS}"
                    )
                )
