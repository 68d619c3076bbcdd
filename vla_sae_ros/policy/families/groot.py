"""GR00T N1.7: Qwen3-VL runs once, then a diffusion transformer (DiT) once per denoising step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lerobot.policies.groot.modeling_groot import GrootPolicy
from torch import Tensor, nn

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.families.adapter import Detachable, ResidualFunction, TokenMasks, full_mask
from vla_sae_ros.policy.families.chunk import PreviousChunk, drawn_from
from vla_sae_ros.policy.families.layer_hook import hook_input, hook_layer
from vla_sae_ros.policy.families.patches import CameraPatches
from vla_sae_ros.policy.families.site import Site

STATE_TOKENS = 1
WHY_NO_HEATMAP = (
    "GR00T's processor crops and scales pictures before it cuts them into patches, and does not "
    "report how"
)


class GrootAdapter:
    """Reads and edits lerobot's GrootPolicy.

    Backbone tokens: what Qwen's processor makes of pictures and words, in its order. Qwen adds
    features of the pictures to its first layers' outputs ("deepstack"): these sites are what the
    next layer gets, with that. The action head reads what the last layer puts out. Expert tokens:
    one of the state, then one per action.
    """

    def __init__(self, policy: GrootPolicy) -> None:
        self._policy = policy
        model = policy._groot_model
        self._config: Any = model.config
        self._qwen: Any = model.backbone.model
        self._backbone: nn.ModuleList = model.backbone.language_model.layers
        self._expert: nn.ModuleList = model.action_head.model.transformer_blocks
        self._steps: int = model.action_head.num_inference_timesteps
        self._sites = {site.name: site for site in self._all_sites()}

    @property
    def sites(self) -> Mapping[str, Site]:
        return self._sites

    @property
    def noise_shape(self) -> tuple[int, int]:
        return self._config.action_horizon, self._config.max_action_dim

    def attach(self, site: str, function: ResidualFunction) -> Detachable:
        kind, number = site.split(".")
        if kind == "expert":
            return hook_layer(self._expert[int(number)], function)
        following = int(number) + 1
        if following < len(self._backbone):
            return hook_input(self._backbone[following], function)
        return hook_layer(self._backbone[-1], function)

    def token_masks(self, site: str, batch: Mapping[str, Tensor]) -> TokenMasks:
        words = batch["input_ids"]
        if site.startswith("expert"):
            length = STATE_TOKENS + self._config.action_horizon
            action = full_mask(len(words), length, STATE_TOKENS, length, words.device)
            state = full_mask(len(words), length, 0, STATE_TOKENS, words.device)
            return {"state": state, "action": action}
        attended = batch["attention_mask"] == 1
        is_picture = words == self._qwen.config.image_token_id
        return {"camera": is_picture & attended, "language": ~is_picture & attended}

    def camera_patches(self, site: str, batch: Mapping[str, Tensor]) -> tuple[CameraPatches, ...]:
        """Return none, see `WHY_NO_HEATMAP`."""
        return ()

    def predict(
        self, batch: dict[str, Tensor], noise: Tensor, previous: PreviousChunk | None = None
    ) -> Tensor:
        """Return the chunk (B, H, A). lerobot draws GR00T's noise itself: from `noise` as seed."""
        with drawn_from(noise):
            return self._policy.predict_action_chunk(batch, **self._continuing(previous))

    def _continuing(self, previous: PreviousChunk | None) -> dict[str, Any]:
        """Return what makes lerobot blend the new chunk into the previous one."""
        if previous is None:
            return {}
        if self._policy.config.use_relative_actions:
            raise ConfigurationError(
                "a GR00T with use_relative_actions: true ignores a previous chunk, whose actions "
                "are relative to an older state; request its chunk without a previous one."
            )
        if previous.execution_horizon is not None:
            raise ConfigurationError(
                complaint(
                    "execution horizon of a previous chunk for GR00T",
                    previous.execution_horizon,
                    None,
                    "It blends over the whole of what is left.",
                )
            )
        return {"prev_chunk_left_over": previous.actions, "inference_delay": previous.delay}

    def _all_sites(self) -> list[Site]:
        width = self._qwen.config.text_config.hidden_size
        backbone = [
            Site(f"backbone.{n}", width, ("camera", "language"), 1, why_no_heatmap=WHY_NO_HEATMAP)
            for n in range(len(self._backbone))
        ]
        width = self._config.input_embedding_dim
        expert = [
            Site(f"expert.{n}", width, ("state", "action"), self._steps)
            for n in range(len(self._expert))
        ]
        return [*backbone, *expert]


def groot_adapter(policy: object) -> GrootAdapter:
    """Return the adapter of a GR00T N1.7 policy."""
    assert isinstance(policy, GrootPolicy)
    return GrootAdapter(policy)
