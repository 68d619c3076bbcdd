"""SmolVLA: its layers are run by hand, so a hook on a layer never fires; hooks on its parts do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK, OBS_STATE
from torch import Tensor, nn
from torch.nn.functional import pad

from vla_sae_ros.policy.families.adapter import ResidualFunction, TokenMasks, full_mask, spans_mask
from vla_sae_ros.policy.families.chunk import PreviousChunk, predict_chunk, refuse_compiled
from vla_sae_ros.policy.families.layer_hook import undisturbed
from vla_sae_ros.policy.families.patches import CameraPatches, Size, padded_left_top, stretched
from vla_sae_ros.policy.families.site import LAST_BACKBONE_LAYER, Site

START_TOKENS, END_TOKENS = 2, 1
"""Special tokens before and after a camera's tokens, where the configuration adds them."""


@dataclass(frozen=True)
class LayerHooks:
    """The pair of hooks that reads and edits the residual stream after one layer."""

    handles: tuple[torch.utils.hooks.RemovableHandle, ...]

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()


def hook_residual(layer: nn.Module, function: ResidualFunction) -> LayerHooks:
    """Attach `function` to the residual stream after a SmolVLA decoder layer.

    The layer computes x = mlp(norm(mid)) + mid. `mid` is what the norm before the MLP gets; adding
    to what the MLP returns adds to x.
    """
    mid: list[Tensor] = []

    def keep_mid(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
        mid[:] = args[:1]

    def add_to_mlp(_module: nn.Module, _args: object, mlp_out: Tensor) -> Tensor | None:
        delta = undisturbed(function, mlp_out + mid.pop())
        return None if delta is None else mlp_out + delta

    norm, mlp = layer.get_submodule("post_attention_layernorm"), layer.get_submodule("mlp")
    return LayerHooks(
        (norm.register_forward_pre_hook(keep_mid), mlp.register_forward_hook(add_to_mlp))
    )


class SmolVLAAdapter:
    """Reads and edits lerobot's SmolVLAPolicy.

    Prefix tokens (backbone): every camera in the order of the configuration, present ones first,
    then the instruction, then one state token. Suffix tokens (expert): one per action.
    """

    def __init__(self, policy: SmolVLAPolicy) -> None:
        self._policy = policy
        self._layers = dict(self._named_layers())
        self._sites = {name: self._site(name) for name in self._layers}

    @property
    def sites(self) -> Mapping[str, Site]:
        return self._sites

    @property
    def noise_shape(self) -> tuple[int, int]:
        return self._policy.config.chunk_size, self._policy.config.max_action_dim

    def attach(self, site: str, function: ResidualFunction) -> LayerHooks:
        return hook_residual(self._layers[site], function)

    def predict(
        self, batch: dict[str, Tensor], noise: Tensor, previous: PreviousChunk | None = None
    ) -> Tensor:
        return predict_chunk(self._policy, batch, noise, previous)

    def token_masks(self, site: str, batch: Mapping[str, Tensor]) -> TokenMasks:
        if site.startswith("expert"):
            state = batch[OBS_STATE]
            chunk = self._policy.config.chunk_size
            return {"action": full_mask(len(state), chunk, 0, chunk, state.device)}
        return self._prefix_masks(batch)

    def camera_patches(self, site: str, batch: Mapping[str, Tensor]) -> tuple[CameraPatches, ...]:
        if site.startswith("expert"):
            return ()
        present = self._present(batch)
        sizes = [(int(batch[key].shape[-2]), int(batch[key].shape[-1])) for key in present]
        return tuple(map(self._patches_of, range(len(present)), present, sizes))

    def _patches_of(self, number: int, camera: str, picture: Size) -> CameraPatches:
        resized = self._policy.config.resize_imgs_with_padding
        wanted = picture if resized is None else (resized[1], resized[0])
        rows, columns = self._grid(wanted)
        start = number * (rows * columns + self._special) + (START_TOKENS if self._special else 0)
        real = stretched(picture, wanted) if resized is None else padded_left_top(picture, wanted)
        return CameraPatches(
            camera, start, start + rows * columns, rows, columns, picture, wanted, real
        )

    def _grid(self, wanted: Size) -> tuple[int, int]:
        """Return rows and columns of tokens, each a fold of scale_factor x scale_factor patches."""
        config = self._policy.model.vlm_with_expert.config
        fold = config.vision_config.patch_size * config.scale_factor
        return wanted[0] // fold, wanted[1] // fold

    @property
    def _special(self) -> int:
        """Special tokens around each camera's, which belong to no group."""
        return START_TOKENS + END_TOKENS if self._policy.config.add_image_special_tokens else 0

    def _present(self, batch: Mapping[str, Tensor]) -> list[str]:
        return [key for key in self._policy.config.image_features if key in batch]

    def _prefix_masks(self, batch: Mapping[str, Tensor]) -> TokenMasks:
        config = self._policy.config
        language = batch[OBS_LANGUAGE_ATTENTION_MASK].bool()
        patches = self.camera_patches("backbone.0", batch)
        missing = min(config.empty_cameras, len(config.image_features) - len(patches))
        # A camera that is missing gets as many tokens as the last one that is there.
        slot = patches[-1].stop - patches[-1].start + self._special
        start = slot * (len(patches) + missing)
        end = start + language.shape[1]
        length = max(end + 1, config.prefix_length)
        spans = tuple((place.start, place.stop) for place in patches)
        camera = spans_mask(len(language), length, spans, language.device)
        for place in patches:
            real = batch.get(f"{place.camera}_padding_mask")
            if real is not None:
                here = full_mask(len(language), length, place.start, place.stop, language.device)
                camera = camera & (real.bool()[:, None] | ~here)
        words = pad(language, (start, length - end))
        state = full_mask(len(language), length, end, end + 1, language.device)
        return {"camera": camera, "language": words, "state": state}

    def _named_layers(self) -> Iterator[tuple[str, nn.Module]]:
        model = self._policy.model.vlm_with_expert
        for number, layer in enumerate(model.get_vlm_model().text_model.layers):
            yield f"backbone.{number}", layer
        for number, layer in enumerate(model.lm_expert.layers):
            yield f"expert.{number}", layer

    def _site(self, name: str) -> Site:
        model = self._policy.model.vlm_with_expert
        kind, number = name.split(".")
        if kind == "expert":
            return Site(name, model.expert_hidden_size, ("action",), self._policy.config.num_steps)
        width = model.config.text_config.hidden_size
        is_last = int(number) == model.num_vlm_layers - 1
        why_not = LAST_BACKBONE_LAYER if is_last else ""
        return Site(name, width, ("camera", "language", "state"), 1, why_not)


def smolvla_adapter(policy: object) -> SmolVLAAdapter:
    """Return the adapter of a SmolVLA policy.

    Raises:
        ConfigurationError: the policy is compiled, so that no hook would be called.
    """
    assert isinstance(policy, SmolVLAPolicy)
    refuse_compiled(policy)
    return SmolVLAAdapter(policy)
