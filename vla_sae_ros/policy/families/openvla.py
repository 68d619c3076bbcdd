"""OpenVLA: one Llama reads picture and prompt once, then decodes one token per action dimension.

It runs in an environment of its own (environments/openvla); nothing here imports lerobot, or
OpenVLA's modelling code, which comes with its checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vla_sae_ros.policy.checkpoints.openvla_folder import CAMERA, PICTURE_SIZE, OpenVLAPolicy
from vla_sae_ros.policy.checkpoints.openvla_processing import cropped_side
from vla_sae_ros.policy.families.adapter import Detachable, ResidualFunction, TokenMasks, full_mask
from vla_sae_ros.policy.families.chunk import PreviousChunk, refuse_previous
from vla_sae_ros.policy.families.decoding import DecodingStack, decoded_token_mask, is_decode
from vla_sae_ros.policy.families.patches import CameraPatches, PixelBox, Size, stretched
from vla_sae_ros.policy.families.site import Site

PIXELS = "pixel_values"
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
        camera: what the one camera is called.
        side: share of each side of the picture that the model is shown; the centre.
    """

    def __init__(
        self, model: Any, unnorm_key: str | None = None, camera: str = PIXELS, side: float = 1.0
    ) -> None:
        self._model, self._unnorm_key = model, unnorm_key
        self._camera, self._side = camera, side
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
        """Return the patches of the one camera, in pixels of its picture.

        The picture is stretched to the model's square input; of a batch that does not say how
        large it was, it is taken to be as large as that.
        """
        if is_decode(site):
            return ()
        size = (int(batch[PIXELS].shape[-2]), int(batch[PIXELS].shape[-1]))
        patch = self._model.vision_backbone.featurizer.patch_embed.patch_size
        rows, columns = size[0] // patch[0], size[1] // patch[1]
        stop = FIRST_TOKENS + rows * columns
        picture = size
        if PICTURE_SIZE in batch:
            height, width = batch[PICTURE_SIZE][0].tolist()
            picture = (height, width)
        real, first = _whole(size, self._side), FIRST_TOKENS
        return (CameraPatches(self._camera, first, stop, rows, columns, picture, size, real),)

    def predict(
        self, batch: dict[str, Tensor], noise: Tensor, previous: PreviousChunk | None = None
    ) -> Tensor:
        """Return the one action (1, 1, A), in the data set's units: the model unnormalises it."""
        refuse_previous(previous, "OpenVLA")
        given = {name: value for name, value in batch.items() if name != PICTURE_SIZE}
        action = self._model.predict_action(**given, unnorm_key=self._unnorm_key, do_sample=False)
        return torch.as_tensor(action, dtype=torch.float32)[None, None]


def _whole(size: Size, side: float) -> PixelBox:
    """Return where the whole picture lies round a model's input that shows its centre only."""
    if side == 1.0:
        return stretched(size, size)
    margin = (1 / side - 1) / 2
    height, width = size
    return PixelBox(-margin * height, -margin * width, (1 + margin) * height, (1 + margin) * width)


def openvla_adapter(policy: object) -> OpenVLAAdapter:
    """Return the adapter of a loaded OpenVLA."""
    assert isinstance(policy, OpenVLAPolicy)
    side = cropped_side() if policy.crops else 1.0
    return OpenVLAAdapter(policy.model, policy.unnorm_key, CAMERA, side)
