"""SmolVLA: its layers are run by hand, so a hook on a layer never fires; hooks on its parts do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK
from torch import Tensor, nn

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.adapter import ResidualFunction, TokenMasks, full_mask
from vla_sae_ros.policy.site import Site

LAST_BACKBONE_LAYER = (
    "the action expert reads only keys and values computed from each layer's input, so nothing "
    "reads what the last backbone layer puts out"
)


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
        delta = function(mlp_out.detach() + mid.pop().detach())
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

    def predict(self, batch: dict[str, Tensor], noise: Tensor) -> Tensor:
        return self._policy.predict_action_chunk(batch, noise=noise)

    def token_masks(self, site: str, batch: Mapping[str, Tensor]) -> TokenMasks:
        if site.startswith("expert"):
            state = batch["observation.state"]
            chunk = self._policy.config.chunk_size
            return {"action": full_mask(len(state), chunk, 0, chunk, state.device)}
        return self._prefix_masks(batch)

    def _prefix_masks(self, batch: Mapping[str, Tensor]) -> TokenMasks:
        config = self._policy.config
        language = batch[OBS_LANGUAGE_ATTENTION_MASK].bool()
        present = [key for key in config.image_features if key in batch]
        missing = min(config.empty_cameras, len(config.image_features) - len(present))
        per_camera, special = self._tokens_per_camera(), 3 if config.add_image_special_tokens else 0
        cameras = (per_camera + special) * (len(present) + missing)
        length = max(cameras + language.shape[1] + 1, config.prefix_length)
        batch_size, device = len(language), language.device
        camera = torch.zeros(batch_size, length, dtype=torch.bool, device=device)
        for number, key in enumerate(present):
            start = number * (per_camera + special) + (2 if special else 0)
            real = batch.get(f"{key}_padding_mask", torch.ones(batch_size, device=device)).bool()
            camera[:, start : start + per_camera] = real[:, None]
        words = torch.zeros_like(camera)
        words[:, cameras : cameras + language.shape[1]] = language
        end = cameras + language.shape[1]
        return {
            "camera": camera,
            "language": words,
            "state": full_mask(batch_size, length, end, end + 1, device),
        }

    def _tokens_per_camera(self) -> int:
        config = self._policy.model.vlm_with_expert.config
        side = config.vision_config.image_size // config.vision_config.patch_size
        resized = self._policy.config.resize_imgs_with_padding
        if resized is not None and resized[0] != config.vision_config.image_size:
            side = resized[0] // config.vision_config.patch_size
        return (side // config.scale_factor) ** 2

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
    if policy.config.compile_model:
        raise ConfigurationError(
            "the policy's configuration has compile_model: true, and a compiled SmolVLA cannot be "
            "tapped. Set compile_model to false in its config.json."
        )
    return SmolVLAAdapter(policy)
