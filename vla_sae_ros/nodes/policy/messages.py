"""What the policy node publishes, from what the engine returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.core.readout import SiteReadout
from vla_sae_ros.msg import (
    ActionChunk,
    FeatureActivations,
    FeatureCatalogue,
    FeatureInfo,
    FeatureTest,
)
from vla_sae_ros.nodes.policy.inference_worker import Job
from vla_sae_ros.policy.checkpoints.versions import numeric_versions
from vla_sae_ros.policy.inference import Engine, Inference
from vla_sae_ros.wire.conversions import to_floats, to_header, to_unsigned


def to_chunk(
    job: Job, inference: Inference, chunk_id: int, control_rate: float, policy_start_ns: int
) -> ActionChunk:
    """Return the message of an action chunk."""
    horizon, action_dim = inference.actions.shape
    return ActionChunk(
        header=to_header(job.stamp_ns),
        episode_id=job.episode_id,
        policy_start=policy_start_ns,
        chunk_id=chunk_id,
        steering_revision=inference.revision,
        observation_step=job.step,
        replan=job.replan,
        instruction_revision=job.instruction_revision,
        control_rate=control_rate,
        horizon=horizon,
        action_dim=action_dim,
        actions=to_floats(inference.actions),
        continued_chunk=inference.continued.chunk_id if inference.continued else 0,
        continued_delay=inference.continued.delay if inference.continued else 0,
    )


def to_features(
    job: Job,
    inference: Inference,
    site: SiteReadout,
    chunk_id: int,
    policy_start_ns: int,
    with_pooled: bool = False,
) -> FeatureActivations:
    """Return the message of one site's active features. An inference counts like its chunk.

    with_pooled: also the mean residual stream, where the read-out has it.
    """
    return FeatureActivations(
        header=to_header(job.stamp_ns),
        episode_id=job.episode_id,
        site=site.site,
        inference=chunk_id,
        chunk_id=chunk_id,
        steering_revision=inference.revision,
        observation_step=job.step,
        index=to_unsigned(site.index),
        natural=to_floats(site.natural),
        applied=to_floats(site.applied),
        fvu=site.fvu,
        residual_norm=site.residual_norm,
        edit_norm_ratio=site.edit_norm_ratio,
        capped=site.capped,
        bypassed=inference.bypassed,
        inference_ms=inference.milliseconds,
        tap_ms=site.tap_ms,
        policy_start=policy_start_ns,
        pooled=to_floats(site.pooled if with_pooled and site.pooled is not None else ()),
    )


def facts(engine: Engine) -> dict[str, object]:
    """Return what a node's description says about an engine."""
    return {
        "policy": engine.policy_name,
        "policy_id": engine.policy_id,
        "sites": [bundle.card.site for bundle in engine.bundles],
        **{f"bundle_id.{bundle.card.site}": bundle.bundle_id for bundle in engine.bundles},
        **numeric_versions(),
    }


def to_catalogue(
    engine: Engine, stamp_ns: int, catalogues: Mapping[str, Catalogue] | None = None
) -> FeatureCatalogue:
    """Return the message of everything known about the tapped features.

    catalogues: by site; None = as the bundles were loaded.
    """
    catalogues = catalogues or {each.card.site: each.catalogue for each in engine.bundles}
    sites = engine.steering_sites()
    return FeatureCatalogue(
        header=to_header(stamp_ns),
        policy_id=engine.policy_id,
        sites=[site.name for site in sites],
        bundle_ids=[bundle.bundle_id for bundle in engine.bundles],
        dictionary_sizes=to_unsigned([site.dictionary_size for site in sites]),
        can_steer=[site.can_steer for site in sites],
        kinds=[bundle.card.kind for bundle in engine.bundles],
        mean_residual_norms=to_floats(
            [bundle.card.mean_residual_norm for bundle in engine.bundles]
        ),
        features=[
            info
            for site, catalogue in catalogues.items()
            for info in _infos(site, catalogue.entries)
        ],
    )


def to_feature_info(site: str, entry: FeatureEntry) -> FeatureInfo:
    """Return the message of what is known about one feature; what is unknown is NaN."""
    return FeatureInfo(
        site=site,
        feature=entry.feature,
        label=entry.label,
        description=entry.description,
        feature_class=entry.feature_class,
        observed_max=entry.observed_max,
        coverage=entry.coverage,
        density=entry.density,
        onset_count=entry.onset_count,
        relative_run_length=entry.relative_run_length,
        general_probability=entry.general_probability,
        label_source=entry.label_source,
        notes=entry.notes,
        tests=[FeatureTest(**asdict(test)) for test in entry.tests],
    )


def _infos(site: str, entries: Sequence[FeatureEntry]) -> list[FeatureInfo]:
    """Return the alive features, and those that somebody wrote about."""
    return [
        to_feature_info(site, entry)
        for entry in entries
        if entry.observed_max > 0.0 or entry.label or entry.notes or entry.tests
    ]
