"""OpenVLA: one Llama reads picture and prompt once, then decodes one token per action dimension.

It runs in an environment of its own (environments/openvla); nothing here imports lerobot, or
OpenVLA's modelling code, which comes with its checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vla_sae_ros.policy.families.adapter import Detachable, ResidualFunction, TokenMasks, full_mask
from vla_sae_ros.policy.families.chunk import PreviousChunk, refuse_previous
from vla_sae_ros.policy.families.decoding import DecodingStack, decoded_token_mask, is_decode
from vla_sae_ros.policy.families.patches import CameraPatches, stretched
from vla_sae_ros.policy.families.site import Site

CAMERA = "pixel_values"
FIRST_TOKENS = 1
"""The prompt's first token stands before the patches."""
EMPTY_TOKEN = 29871
"""OpenVLA appends it to a prompt that does not end with it."""


class OpenVLAAdapter:
    """Reads and edits an OpenVLAForActionPrediction.

    Every layer is two sites, see `decoding`. The prompt is: first token, patches, the rest of the
    prompt. One token is decoded per dimension of the action. It is read off the last layer, which
    therefore steers like any other.

    Args:
        model: with `language_model`, `vision_backbone`, `config`, `predict_action`.
        unnorm_key: data set whose statistics turn tokens into actions; None = the only one.
    """

    def __init__(self, model: Any, unnorm_key: str | None = None) -> None:
        self._model, self._unnorm_key = model, unnorm_key
        self._stack = DecodingStack(
            model.language_model.model.layers,
            model.language_model.config.hidden_size,
            ("camera", "language"),
            model.get_action_dim(unnorm_key),
            may_stop_early=False,
        )

    @property
    def sites(self) -> Mapping[str, Site]:
        return self._stack.sites

    @property
    def noise_shape(self) -> tuple[int, int]:
        """OpenVLA decodes greedily: its noise is not used."""
        return 1, 1

    def attach(self, site: str, function: ResidualFunction) -> Detachable:
        return self._stack.attach(site, function)

    def token_masks(self, site: str, batch: Mapping[str, Tensor]) -> TokenMasks:
        prompt = batch["input_ids"]
        if is_decode(site):
            return decoded_token_mask(len(prompt), prompt.device)
        (place,) = self.camera_patches(site, batch)
        appended = 0 if bool((prompt[:, -1] == EMPTY_TOKEN).all()) else 1
        length = place.stop - place.start + prompt.shape[1] + appended
        camera = full_mask(len(prompt), length, place.start, place.stop, prompt.device)
        return {"camera": camera, "language": ~camera}

    def camera_patches(self, site: str, batch: Mapping[str, Tensor]) -> tuple[CameraPatches, ...]:
        """Return the patches of the one camera, in pixels of the model's square input.

        OpenVLA's own processor stretches the picture to it, so that fractions of the sides hold.
        """
        if is_decode(site):
            return ()
        size = (int(batch[CAMERA].shape[-2]), int(batch[CAMERA].shape[-1]))
        patch = self._model.vision_backbone.featurizer.patch_embed.patch_size
        rows, columns = size[0] // patch[0], size[1] // patch[1]
        stop = FIRST_TOKENS + rows * columns
        real = stretched(size, size)
        return (CameraPatches(CAMERA, FIRST_TOKENS, stop, rows, columns, size, size, real),)

    def predict(
        self, batch: dict[str, Tensor], noise: Tensor, previous: PreviousChunk | None = None
    ) -> Tensor:
        """Return the one action (1, 1, A), in the data set's units: the model unnormalises it."""
        refuse_previous(previous, "OpenVLA")
        action = self._model.predict_action(**batch, unnorm_key=self._unnorm_key, do_sample=False)
        return torch.as_tensor(action, dtype=torch.float32)[None, None]
