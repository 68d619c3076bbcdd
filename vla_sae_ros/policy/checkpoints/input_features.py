"""What an observation must hold for a policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vla_sae_ros.policy.checkpoints.feature_match import InputFeature, Inputs

if TYPE_CHECKING:
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.configs.types import PolicyFeature

    from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy

OBS_IMAGES = "observation.images"
"""lerobot's name; importing it would keep this out of environments without lerobot."""


def observed_features(config: PreTrainedConfig) -> dict[str, PolicyFeature]:
    """Return the input features that come from outside, by key.

    A configuration with `empty_cameras` lists those, too, but no camera takes their pictures: the
    policy fills their slots up itself and masks them.
    """
    empty = {
        f"{OBS_IMAGES}.empty_camera_{number}"
        for number in range(getattr(config, "empty_cameras", 0))
    }
    return {key: value for key, value in config.input_features.items() if key not in empty}


def inputs_of(loaded: LoadedPolicy, masks_cameras: bool) -> Inputs:
    """Return what a loaded policy reads, and what its preprocessor calls it.

    Args:
        loaded: the policy with its preprocessor.
        masks_cameras: its family masks a camera that is missing.
    """
    features = {
        key: InputFeature(feature.type.name == "VISUAL", tuple(feature.shape))
        for key, feature in observed_features(loaded.policy.config).items()
    }
    renamed: dict[str, str] = {}
    for step in getattr(loaded.preprocessor, "steps", ()):
        renamed |= getattr(step, "rename_map", {})  # lerobot's RenameObservationsProcessorStep
    return Inputs(
        features,
        {key: feature for key, feature in renamed.items() if feature in features},
        masks_cameras,
    )
