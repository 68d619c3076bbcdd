"""A study's verdicts as what a catalogue keeps about a feature."""

from __future__ import annotations

from statistics import median

from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry, FeatureTest
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae.bundle import SaeBundle
from vla_sae_ros.study.experiment.measure.analysis import Analysis, main_effects
from vla_sae_ros.study.experiment.measure.effects import SUCCESS
from vla_sae_ros.study.experiment.measure.findings import ArmEffects, EffectEstimate
from vla_sae_ros.study.experiment.measure.verdicts import FeatureVerdict
from vla_sae_ros.study.experiment.report.wording import Scale, say_dose, say_interval, say_p


def tested(analysis: Analysis, bundle: SaeBundle) -> Catalogue:
    """Return a bundle's catalogue with a study's verdicts on single features of it.

    A feature that was steered in several ways keeps one verdict per protocol: the first that is
    more than "not shown", or the first.

    Raises:
        ConfigurationError: the study steered no single feature of this bundle.
    """
    found: dict[tuple[int, str], FeatureTest] = {}
    for protocol, group in (("P1", analysis.opened), ("P2", analysis.closed)):
        for verdict in group:
            row = verdict.doses[0].arm.row
            if row.bundle_id != bundle.bundle_id or len(row.features) != 1:
                continue
            test = _test(verdict, protocol)
            known = found.get((row.features[0], protocol))
            if known is None or known.outcome in ("not shown", "cannot tell"):
                found[row.features[0], protocol] = test
    if not found:
        steered = sorted({row.bundle_id for row in analysis.rows if row.bundle_id})
        raise ConfigurationError(
            f"The study in {analysis.folder} steered no feature of bundle {bundle.bundle_id} "
            f"({bundle.card.site}); its bundles are {', '.join(steered) or 'none'}. Name the "
            "bundle that the study was run with."
        )
    catalogue = bundle.catalogue
    for (feature, _), test in found.items():
        entry = catalogue.get(feature) or FeatureEntry(feature)
        catalogue = catalogue.with_entry(entry.with_test(test))
    return catalogue


def _test(verdict: FeatureVerdict, protocol: str) -> FeatureTest:
    row = verdict.doses[0].arm.row
    return FeatureTest(row.study, protocol, row.label, _outcome(verdict), _words(verdict))


def _outcome(verdict: FeatureVerdict) -> str:
    if verdict.name_outcome in ("as named", "opposite"):
        return verdict.name_outcome
    if verdict.outcome in ("causal", "cannot tell"):
        return verdict.outcome
    return "not shown"


def _words(verdict: FeatureVerdict) -> str:
    effects = main_effects(verdict)
    if effects:
        name, dose, estimate = effects[0]
        more = f" and {len(effects) - 1} more effects" if len(effects) > 1 else ""
        return f"{_at(dose)}: {name} {_say(estimate)}{more}{_cost(dose)}"
    strongest = max(verdict.doses, key=lambda one: abs(one.arm.row.strength))
    predicted = verdict.predicted
    names = (predicted.effect, predicted.answer) if predicted else ()
    named = next((found for name in names if (found := strongest.of(name))), None)
    measured = f": {named.effect.name} {_say(named)}" if named else ""
    return f"{_at(strongest)}{measured}{_cost(strongest)}"


def _at(dose: ArmEffects) -> str:
    return say_dose(dose.arm.row)


def _say(estimate: EffectEstimate) -> str:
    scale = Scale.of(estimate.effect)
    bar = scale.say(estimate.bar.height, plus=False)
    rows = f"{estimate.bar.rows} random rows reach {bar}" if estimate.bar.rows else "no random rows"
    return f"{say_interval(estimate)}, {say_p(estimate.p_holm)}, {rows}, n = {estimate.pairs}"


def _cost(dose: ArmEffects) -> str:
    rows, twins = dose.arm.rows, dose.arm.twins
    if not rows or dose.of(SUCCESS.name) is None:
        return ""
    plain, steered = sum(one.success for one in twins), sum(one.success for one in rows)
    said = f"; success {plain} of {len(rows)} plain, {steered} steered"
    pairs = zip(twins, rows, strict=True)
    both = [(twin.steps, row.steps) for twin, row in pairs if twin.success and row.success]
    if both:
        before, after = (round(median(steps)) for steps in zip(*both, strict=True))
        said += f", in {before} and {after} steps"
    return said
