"""What an observation must hold for a policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.configs.types import PolicyFeature

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
