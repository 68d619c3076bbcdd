"""pi0 and pi0.5: PaliGemma runs once, the action expert once per denoising step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lerobot.policies.pi0.modeling_pi0 import PI0Policy
from lerobot.policies.pi05.modeling_pi05 import PI05Policy
from lerobot.utils.constants import OBS_LANGUAGE_TOKENS
from torch import Tensor, nn

from vla_sae_ros.policy.families.adapter import Detachable, ResidualFunction, TokenMasks, full_mask
from vla_sae_ros.policy.families.chunk import PreviousChunk, predict_chunk, refuse_compiled
from vla_sae_ros.policy.families.layer_hook import hook_layer
from vla_sae_ros.policy.families.paligemma import GROUPS, PaliGemmaPrefix
from vla_sae_ros.policy.families.patches import CameraPatches
from vla_sae_ros.policy.families.site import LAST_BACKBONE_LAYER, Site


class Pi0Adapter:
    """Reads and edits lerobot's PI0Policy and PI05Policy.

    Backbone tokens: cameras, then language; pi0.5 writes the state as digits into the language.
    Expert tokens: one per action; pi0 puts one state token before them.
    """

    def __init__(self, policy: PI0Policy | PI05Policy) -> None:
        self._policy = policy
        self._has_state_token = isinstance(policy, PI0Policy)
        self._layers = dict(self._named_layers())
        self._sites = {name: self._site(name) for name in self._layers}
        vision = policy.model.paligemma_with_expert.paligemma.config.vision_config
        self._prefix = PaliGemmaPrefix(policy.config, vision.patch_size)

    @property
    def sites(self) -> Mapping[str, Site]:
        return self._sites

    @property
    def noise_shape(self) -> tuple[int, int]:
        return self._policy.config.chunk_size, self._policy.config.max_action_dim

    def attach(self, site: str, function: ResidualFunction) -> Detachable:
        return hook_layer(self._layers[site], function)

    def predict(
        self, batch: dict[str, Tensor], noise: Tensor, previous: PreviousChunk | None = None
    ) -> Tensor:
        return predict_chunk(self._policy, batch, noise, previous)

    def token_masks(self, site: str, batch: Mapping[str, Tensor]) -> TokenMasks:
        if site.startswith("backbone"):
            return self._prefix.masks(batch)
        tokens = batch[OBS_LANGUAGE_TOKENS]
        first = int(self._has_state_token)
        length = first + self._policy.config.chunk_size
        action = full_mask(len(tokens), length, first, length, tokens.device)
        state = full_mask(len(tokens), length, 0, first, tokens.device)
        return {"state": state, "action": action} if first else {"action": action}

    def camera_patches(self, site: str, batch: Mapping[str, Tensor]) -> tuple[CameraPatches, ...]:
        return self._prefix.patches(batch) if site.startswith("backbone") else ()

    def _named_layers(self) -> Iterator[tuple[str, nn.Module]]:
        model = self._policy.model.paligemma_with_expert
        for number, layer in enumerate(model.paligemma.model.language_model.layers):
            yield f"backbone.{number}", layer
        for number, layer in enumerate(model.gemma_expert.model.layers):
            yield f"expert.{number}", layer

    def _site(self, name: str) -> Site:
        model, config = self._policy.model.paligemma_with_expert, self._policy.config
        kind, number = name.split(".")
        if kind == "expert":
            groups = ("state", "action") if self._has_state_token else ("action",)
            width = model.gemma_expert.config.hidden_size
            return Site(name, width, groups, config.num_inference_steps)
        text = model.paligemma.config.text_config
        is_last = int(number) == text.num_hidden_layers - 1
        return Site(name, text.hidden_size, GROUPS, 1, LAST_BACKBONE_LAYER if is_last else "")


def pi0_adapter(policy: object) -> Pi0Adapter:
    """Return the adapter of a pi0 or pi0.5 policy.

    Raises:
        ConfigurationError: the policy is compiled, so that no hook would be called.
    """
    assert isinstance(policy, PI0Policy | PI05Policy)
    refuse_compiled(policy)
    return Pi0Adapter(policy)
