"""pi0-FAST: PaliGemma reads cameras and language once, then decodes action tokens one at a time."""

from __future__ import annotations

from collections.abc import Mapping

from lerobot.policies.pi0_fast.modeling_pi0_fast import PI0FastPolicy
from lerobot.utils.constants import OBS_LANGUAGE_TOKENS
from torch import Tensor

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.families.adapter import Detachable, ResidualFunction, TokenMasks
from vla_sae_ros.policy.families.chunk import (
    PreviousChunk,
    drawn_from,
    refuse_compiled,
    refuse_previous,
)
from vla_sae_ros.policy.families.decoding import DecodingStack, decoded_token_mask, is_decode
from vla_sae_ros.policy.families.paligemma import GROUPS, PaliGemmaPrefix
from vla_sae_ros.policy.families.patches import CameraPatches
from vla_sae_ros.policy.families.site import Site

BEGIN_TOKENS = 1
"""lerobot appends the token that begins a sequence to the language; the first action token is read
off it."""


class Pi0FastAdapter:
    """Reads and edits lerobot's PI0FastPolicy.

    Every layer is two sites, see `decoding`. The prompt is: cameras, language with the state as
    digits, and one token that begins the answer, of the group language. Decoding ends at "|", the
    end of the action, or after `max_decoding_steps`. The tokens are read off the last layer: it
    steers, through the prompt's last token and the decoded ones.
    """

    def __init__(self, policy: PI0FastPolicy) -> None:
        self._policy = policy
        config, model = policy.config, policy.model.paligemma_with_expert.paligemma
        self._stack = DecodingStack(
            model.model.language_model.layers,
            model.config.text_config.hidden_size,
            GROUPS,
            config.max_decoding_steps,
            may_stop_early=config.temperature == 0,
        )
        patch_size = model.config.vision_config.patch_size
        self._prefix = PaliGemmaPrefix(config, patch_size, BEGIN_TOKENS)

    @property
    def sites(self) -> Mapping[str, Site]:
        return self._stack.sites

    @property
    def noise_shape(self) -> tuple[int, int]:
        """The noise is a seed: pi0-FAST draws tokens where its temperature is not 0."""
        return 1, 1

    def attach(self, site: str, function: ResidualFunction) -> Detachable:
        return self._stack.attach(site, function)

    def token_masks(self, site: str, batch: Mapping[str, Tensor]) -> TokenMasks:
        if is_decode(site):
            tokens = batch[OBS_LANGUAGE_TOKENS]
            return decoded_token_mask(len(tokens), tokens.device)
        return self._prefix.masks(batch)

    def camera_patches(self, site: str, batch: Mapping[str, Tensor]) -> tuple[CameraPatches, ...]:
        return () if is_decode(site) else self._prefix.patches(batch)

    def predict(
        self, batch: dict[str, Tensor], noise: Tensor, previous: PreviousChunk | None = None
    ) -> Tensor:
        """Return the chunk (B, H, A) that the decoded tokens stand for."""
        refuse_previous(previous, "pi0-FAST")
        with drawn_from(noise):
            return self._policy.predict_action_chunk(batch)


def pi0_fast_adapter(policy: object) -> Pi0FastAdapter:
    """Return the adapter of a pi0-FAST policy.

    Raises:
        ConfigurationError: the policy is compiled, so that no hook would be called, or decodes
            without a cache.
    """
    assert isinstance(policy, PI0FastPolicy)
    refuse_compiled(policy)
    if not policy.config.use_kv_cache:
        raise ConfigurationError(
            "the policy's configuration has use_kv_cache: false. Then every decoded token runs the "
            "whole prompt through all layers again, and a site has no tokens and no steps that "
            "stay. Set use_kv_cache to true in its config.json: it decodes the same tokens, faster."
        )
    return Pi0FastAdapter(policy)
