"""X-VLA: a Florence-2 encoder runs once, then a transformer over everything per denoising step."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lerobot.policies.xvla.modeling_xvla import XVLAPolicy
from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK
from torch import Tensor, nn
from torch.nn.functional import pad

from vla_sae_ros.policy.families.adapter import (
    Detachable,
    ResidualFunction,
    TokenMasks,
    full_mask,
    spans_mask,
)
from vla_sae_ros.policy.families.chunk import PreviousChunk, drawn_from, refuse_previous
from vla_sae_ros.policy.families.layer_hook import hook_layer
from vla_sae_ros.policy.families.patches import (
    CameraPatches,
    PixelBox,
    Size,
    padded_left_top,
    stretched,
)
from vla_sae_ros.policy.families.site import Site

SUMMARY = 1
"""Tokens before each camera's patches: the mean over them."""


class XVLAAdapter:
    """Reads and edits lerobot's XVLAPolicy.

    Encoder tokens (backbone): the first camera, then language. X-VLA does not mask padded words:
    they are kept out of what is read, but the others attend to them. Transformer tokens (expert):
    actions, what the encoder put out, the other cameras; then soft prompts, which are in no group.
    A camera's tokens are its mean and its patches.
    """

    def __init__(self, policy: XVLAPolicy) -> None:
        self._policy = policy
        model, config = policy.model, policy.config
        self._stacks: dict[str, nn.ModuleList] = {
            "backbone": model.vlm.language_model.encoder.layers,
            "expert": model.transformer.blocks,
        }
        width = model.vlm.config.text_config.d_model
        backbone = [
            Site(f"backbone.{n}", width, ("camera", "language"), 1)
            for n in range(len(self._stacks["backbone"]))
        ]
        groups = ("camera", "language", "action")
        steps = max(1, config.num_denoising_steps)
        expert = [
            Site(f"expert.{n}", config.hidden_size, groups, steps)
            for n in range(len(self._stacks["expert"]))
        ]
        self._sites = {site.name: site for site in (*backbone, *expert)}

    @property
    def sites(self) -> Mapping[str, Site]:
        return self._sites

    @property
    def noise_shape(self) -> tuple[int, int]:
        return self._policy.model.chunk_size, self._policy.model.dim_action

    def attach(self, site: str, function: ResidualFunction) -> Detachable:
        kind, number = site.split(".")
        return hook_layer(self._stacks[kind][int(number)], function)

    def predict(
        self, batch: dict[str, Tensor], noise: Tensor, previous: PreviousChunk | None = None
    ) -> Tensor:
        """Return the chunk (B, H, A). lerobot draws X-VLA's noise itself: from `noise` as seed."""
        refuse_previous(previous, "X-VLA")
        with drawn_from(noise):
            return self._policy.predict_action_chunk(batch)

    def camera_patches(self, site: str, batch: Mapping[str, Tensor]) -> tuple[CameraPatches, ...]:
        words = batch[OBS_LANGUAGE_ATTENTION_MASK].shape[1]
        present = [key for key in self._policy.config.image_features if key in batch]
        start = self._policy.model.chunk_size if site.startswith("expert") else 0
        shown = present if site.startswith("expert") else present[:1]
        places: list[CameraPatches] = []
        for number, camera in enumerate(shown):
            place = self._camera(camera, start + SUMMARY, batch[camera])
            places.append(place)
            start = place.stop + (words if number == 0 else 0)
        return tuple(places)

    def token_masks(self, site: str, batch: Mapping[str, Tensor]) -> TokenMasks:
        attended = batch[OBS_LANGUAGE_ATTENTION_MASK].bool()
        places = self.camera_patches(site, batch)
        words = places[0].stop
        length = words + attended.shape[1]
        if site.startswith("expert"):
            slot = SUMMARY + places[0].stop - places[0].start
            length += slot * (self._views(batch) - 1) + self._policy.config.len_soft_prompts
        spans = tuple((place.start - SUMMARY, place.stop) for place in places)
        camera = spans_mask(len(attended), length, spans, attended.device)
        language = pad(attended, (words, length - words - attended.shape[1]))
        masks = {"camera": camera, "language": language}
        if site.startswith("expert"):
            chunk = self._policy.model.chunk_size
            masks["action"] = full_mask(len(attended), length, 0, chunk, attended.device)
        return masks

    def _views(self, batch: Mapping[str, Tensor]) -> int:
        config = self._policy.config
        present = sum(key in batch for key in config.image_features)
        return max(config.num_image_views or present, present)

    def _camera(self, camera: str, start: int, pictures: Tensor) -> CameraPatches:
        picture = (int(pictures.shape[-2]), int(pictures.shape[-1]))
        resized = self._policy.config.resize_imgs_with_padding
        wanted: Size = picture if resized is None else (resized[0], resized[1])
        rows, columns = (self._patches_along(side) for side in wanted)
        real = stretched(picture, wanted) if resized is None else padded_left_top(picture, wanted)
        cell = math.prod(self._policy.model.vlm.config.vision_config.patch_stride)
        return CameraPatches(
            camera,
            start,
            start + rows * columns,
            rows,
            columns,
            picture,
            (rows * cell, columns * cell),
            _moved(real, cell / 2),
        )

    def _patches_along(self, side: int) -> int:
        """Return into how many patches the vision tower's convolutions cut this many pixels."""
        vision = self._policy.model.vlm.config.vision_config
        for kernel, stride, padding in zip(
            vision.patch_size, vision.patch_stride, vision.patch_padding, strict=True
        ):
            side = (side + 2 * padding - kernel) // stride + 1
        return side


def _moved(real: PixelBox, by: float) -> PixelBox:
    """Move where a picture lies: token (r, c) looks round pixel (r, c) * cell, its corner.

    A cell that begins half a cell earlier has that pixel in its middle.
    """
    return PixelBox(real.top + by, real.left + by, real.bottom + by, real.right + by)


def xvla_adapter(policy: object) -> XVLAAdapter:
    """Return the adapter of an X-VLA policy."""
    assert isinstance(policy, XVLAPolicy)
    return XVLAAdapter(policy)
