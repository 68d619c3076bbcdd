"""The prefix that pi0, pi0.5 and pi0-FAST feed their PaliGemma: cameras, then language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK
from torch import Tensor
from torch.nn.functional import pad

from vla_sae_ros.policy.families.adapter import TokenMasks, spans_mask
from vla_sae_ros.policy.families.patches import CameraPatches, Size, padded_all_round

GROUPS = ("camera", "language")


class PaliGemmaPrefix:
    """Where the tokens of a preprocessed batch lie.

    Every camera of the configuration has its slot: those in the batch first, then the missing ones,
    which are masked. Language slots follow; what the tokenizer padded is masked.

    Args:
        config: the policy's configuration.
        patch_size: [px] of the vision tower.
        extra: language tokens that the policy itself appends.
    """

    def __init__(self, config: Any, patch_size: int, extra: int = 0) -> None:
        self._config, self._extra = config, extra
        self._wanted: Size = (config.image_resolution[0], config.image_resolution[1])
        self._rows, self._columns = (side // patch_size for side in self._wanted)

    def patches(self, batch: Mapping[str, Tensor]) -> tuple[CameraPatches, ...]:
        present = [key for key in self._config.image_features if key in batch]
        return tuple(
            self._slot(number, key, _size(batch[key])) for number, key in enumerate(present)
        )

    def masks(self, batch: Mapping[str, Tensor]) -> TokenMasks:
        attended = batch[OBS_LANGUAGE_ATTENTION_MASK].bool()
        start = self._rows * self._columns * len(self._config.image_features)
        length = start + attended.shape[1] + self._extra
        spans = tuple((place.start, place.stop) for place in self.patches(batch))
        camera = spans_mask(len(attended), length, spans, attended.device)
        language = pad(pad(attended, (start, 0)), (0, self._extra), value=True)
        return {"camera": camera, "language": language}

    def _slot(self, number: int, camera: str, picture: Size) -> CameraPatches:
        tokens = self._rows * self._columns
        return CameraPatches(
            camera,
            number * tokens,
            (number + 1) * tokens,
            self._rows,
            self._columns,
            picture,
            self._wanted,
            padded_all_round(picture, self._wanted),
        )


def _size(picture: Tensor) -> Size:
    """Return the size of (B, 3, H, W) or (B, H, W, 3) pictures, told apart as lerobot does."""
    height, width = picture.shape[2:4] if picture.shape[1] == 3 else picture.shape[1:3]
    return height, width
