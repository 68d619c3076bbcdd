"""The rows of a study's table: what was planned, and what came of it so far."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vla_sae_ros.core.steering.preset import line_of
from vla_sae_ros.resources import software_version
from vla_sae_ros.study.experiment.design.arms import Arm
from vla_sae_ros.study.experiment.design.plan import Plan, PlannedRun
from vla_sae_ros.study.experiment.design.settings import Change, Pair
from vla_sae_ros.study.experiment.records.table import Row
from vla_sae_ros.study.experiment.run.store import Finished, Store

_NOTHING = Change("", "", -1, "", "", 0.0)
_NOWHERE = Pair("", "", -1, -1)


def rows_of(plan: Plan, store: Store) -> list[Row]:
    """Return the rows of all finished runs, in the order of the plan."""
    software = software_version()
    return [
        row
        for run in plan.runs
        if run.run_id in store.finished
        for row in _rows(plan, run, store.finished[run.run_id], software)
    ]


def _rows(plan: Plan, run: PlannedRun, finished: Finished, software: str) -> Iterator[Row]:
    settings, outcome = run.settings, finished.outcome
    pair = settings.pair or _NOWHERE
    bundles = "+".join(bundle_id for _, bundle_id in settings.taps)
    for arm in run.arms:
        yield Row(
            run_id=run.run_id,
            study=plan.study.name,
            protocol=arm.protocol,
            kind=settings.kind,
            arm=arm.arm,
            arm_name=arm.name,
            policy_id=settings.policy_id,
            bundle_id=bundles,
            **_changed(arm),
            pair=settings.pair.text if settings.pair else "observations",
            suite=pair.suite,
            task=pair.task,
            instruction=settings.instruction,
            task_instruction=run.task.instruction if run.task else "",
            init_state=pair.init_state,
            seed=pair.seed,
            noise_seed=settings.noise_seeds[0],
            moved_m=pair.moved_m,
            exchanged=",".join(pair.exchanged),
            success=bool(outcome.success),
            steps=outcome.steps,
            actions_sha256=outcome.actions_sha256,
            edit_ratio=outcome.edit_ratio,
            capped_share=outcome.capped_share,
            acted_share=outcome.acted_share,
            file=finished.file,
            video=finished.video,
            seconds=outcome.seconds,
            worker=outcome.worker,
            attempt=finished.attempt,
            software=software,
            render_quality=settings.render_quality,
            policy_batch=settings.policy_batch,
            env=plan.study.env,
            compiled=settings.compiled,
        )


def _changed(arm: Arm) -> dict[str, Any]:
    """Return the columns about what was changed."""
    first, injection = arm.changes[0] if arm.changes else _NOTHING, arm.injection
    return {
        "site": first.site if injection is None else injection.site,
        "features": arm.features,
        "label": arm.label,
        "feature_class": arm.feature_class,
        "direction": injection.text if injection else "+".join(c.direction for c in arm.changes),
        "carrier": first.carrier,
        "mode": first.mode,
        "unit": first.unit,
        "strength": first.strength,
        "window_event": arm.window.after,
        "window_from": arm.window.first,
        "window_to": arm.window.to,
        "condition": line_of(arm.window.when),
        "control": line_of(arm.window.control),
        "dose": arm.dose,
    }
