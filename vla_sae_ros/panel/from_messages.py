"""Messages to the panel's values. Runs on the ROS thread."""

from __future__ import annotations

import numpy as np

from vla_sae_ros.msg import (
    EpisodeState,
    FeatureActivations,
    FeatureCatalogue,
    SteeringEditState,
    SteeringState,
)
from vla_sae_ros.panel.values import (
    Activations,
    CatalogueView,
    EditView,
    EpisodeView,
    Site,
    SteeringView,
)

_PHASES = {
    SteeringEditState.RAMPING_IN: "ramping in",
    SteeringEditState.HOLDING: "holding",
    SteeringEditState.RELEASING: "releasing",
    SteeringEditState.WAITING: "waiting for its window",
}
_STATUSES = {
    EpisodeState.IDLE: "idle",
    EpisodeState.RESETTING: "resetting",
    EpisodeState.RUNNING: "running",
    EpisodeState.HOLDING: "HOLDING, no valid action",
    EpisodeState.SUCCEEDED: "succeeded",
    EpisodeState.FAILED: "failed",
    EpisodeState.CANCELED: "canceled",
    EpisodeState.ERROR: "ERROR",
}


def catalogue_view(message: FeatureCatalogue) -> CatalogueView:
    """Return the rows of every listed feature; a feature of an unlisted site is left out."""
    sites = tuple(
        Site(name, int(size), bool(steerable))
        for name, size, steerable in zip(
            message.sites, message.dictionary_sizes, message.can_steer, strict=True)
    )
    number = {site.name: index for index, site in enumerate(sites)}
    features = [info for info in message.features if info.site in number]
    return CatalogueView(
        policy_id=message.policy_id,
        sites=sites,
        site_index=np.array([number[info.site] for info in features], np.int32),
        feature=np.array([info.feature for info in features], np.uint32),
        labels=tuple(_one_line(info.label) for info in features),
        classes=tuple(_one_line(info.feature_class) for info in features),
        descriptions=tuple(info.description for info in features),
        observed_max=np.nan_to_num(
            np.array([info.observed_max for info in features], np.float32), posinf=0.0),
    )


def activations(message: FeatureActivations) -> Activations:
    """Return one inference's active features of one site."""
    return Activations(
        site=message.site,
        episode_id=message.episode_id,
        step=message.observation_step,
        revision=message.steering_revision,
        index=np.frombuffer(message.index, np.uint32),
        natural=np.frombuffer(message.natural, np.float32),
        applied=np.frombuffer(message.applied, np.float32),
        edit_norm_ratio=message.edit_norm_ratio,
        capped=message.capped,
        bypassed=message.bypassed,
        inference_ms=message.inference_ms,
    )


def steering_view(message: SteeringState) -> SteeringView:
    """Return the steering state."""
    edits = tuple(
        EditView(
            site=state.edit.site, feature=state.edit.feature, owner=state.owner,
            phase=_PHASES.get(state.phase, f"phase {state.phase}"), commanded=state.commanded,
            applied=state.applied, lease_remaining=state.lease_remaining,
        )
        for state in message.edits
    )
    return SteeringView(message.revision, message.bypass, message.cap, edits)


def episode_view(message: EpisodeState) -> EpisodeView:
    """Return what the bridge is doing."""
    return EpisodeView(
        episode_id=message.episode_id, suite=message.suite, task=message.task,
        instruction=_one_line(message.instruction), step=message.step,
        max_steps=message.max_steps,
        status=_STATUSES.get(message.status, f"status {message.status}"),
        detail=_one_line(message.detail), realtime=message.clock == EpisodeState.REALTIME,
        missed_deadlines=message.missed_deadlines, held_ticks=message.held_ticks,
        dropped_chunks=message.dropped_chunks,
    )


def _one_line(text: str) -> str:
    """Return odd text (line breaks, control characters) as one printable line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
