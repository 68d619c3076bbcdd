"""OpenVLA: one Llama reads picture and prompt once, then decodes one token per action dimension.

It runs in an environment of its own (environments/openvla); nothing here imports lerobot, or
OpenVLA's modelling code, which comes with its checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vla_sae_ros.policy.adapter import Detachable, ResidualFunction, TokenMasks, full_mask
from vla_sae_ros.policy.chunk import PreviousChunk, refuse_previous
from vla_sae_ros.policy.layer_hook import hook_layer
from vla_sae_ros.policy.patches import CameraPatches, stretched
from vla_sae_ros.policy.site import Site

CAMERA = "pixel_values"
FIRST_TOKENS = 1
"""The prompt's first token stands before the patches."""
EMPTY_TOKEN = 29871
"""OpenVLA appends it to a prompt that does not end with it."""


class OpenVLAAdapter:
    """Reads and edits an OpenVLAForActionPrediction.

    Every layer is two sites. "backbone.<layer>" is its run over the prompt: first token, patches,
    the rest of the prompt. "decode.<layer>" are its runs over the action tokens, one at a time. The
    first action token comes from the prompt's run, so that there is one run less than actions. The
    action is read off the last layer, which therefore steers like any other.

    Args:
        model: with `language_model`, `vision_backbone`, `config`, `predict_action`.
        unnorm_key: data set whose statistics turn tokens into actions; None = the only one.
    """

    def __init__(self, model: Any, unnorm_key: str | None = None) -> None:
        self._model, self._unnorm_key = model, unnorm_key
        self._stack: list[nn.Module] = list(model.language_model.model.layers)
        width = model.language_model.config.hidden_size
        decoded = model.get_action_dim(unnorm_key) - 1
        numbers = range(len(self._stack))
        prompt = [Site(f"backbone.{n}", width, ("camera", "language"), 1) for n in numbers]
        actions = [Site(f"decode.{n}", width, ("action",), decoded) for n in numbers]
        self._sites = {site.name: site for site in (*prompt, *actions)}

    @property
    def sites(self) -> Mapping[str, Site]:
        return self._sites

    @property
    def noise_shape(self) -> tuple[int, int]:
        """OpenVLA decodes greedily: its noise is not used."""
        return 1, 1

    def attach(self, site: str, function: ResidualFunction) -> Detachable:
        kind, number = site.split(".")
        reads_prompt = kind == "backbone"
        return hook_layer(
            self._stack[int(number)], function, lambda x: (x.shape[1] > 1) == reads_prompt
        )

    def token_masks(self, site: str, batch: Mapping[str, Tensor]) -> TokenMasks:
        prompt = batch["input_ids"]
        if site.startswith("decode"):
            return {"action": full_mask(len(prompt), 1, 0, 1, prompt.device)}
        (place,) = self.camera_patches(site, batch)
        appended = 0 if bool((prompt[:, -1] == EMPTY_TOKEN).all()) else 1
        length = place.stop - place.start + prompt.shape[1] + appended
        camera = full_mask(len(prompt), length, place.start, place.stop, prompt.device)
        return {"camera": camera, "language": ~camera}

    def camera_patches(self, site: str, batch: Mapping[str, Tensor]) -> tuple[CameraPatches, ...]:
        """Return the patches of the one camera, in pixels of the model's square input.

        OpenVLA's own processor stretches the picture to it, so that fractions of the sides hold.
        """
        if site.startswith("decode"):
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
        action = self._model.predict_action(
            **batch, unnorm_key=self._unnorm_key, do_sample=False
        )
        return torch.as_tensor(action, dtype=torch.float32)[None, None]
