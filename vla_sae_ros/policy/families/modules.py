"""Any lerobot policy without an adapter of its own: its sites are modules, by their paths.

`module:model.encoder.layers.3` is what that module puts out. It is read and edited by a hook.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.checkpoints.input_features import observed_features
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.families.adapter import Detachable, ResidualFunction, TokenMasks, full_mask
from vla_sae_ros.policy.families.chunk import PreviousChunk, drawn_from, refuse_previous
from vla_sae_ros.policy.families.layer_hook import undisturbed
from vla_sae_ros.policy.families.module_outputs import Form, first_tensor, forms_of, with_first
from vla_sae_ros.policy.families.patches import CameraPatches
from vla_sae_ros.policy.families.site import MODULE, Site

GROUP = "token"
WHY_NO_HEATMAP = (
    "for a policy without its own adapter the positions of tokens in the picture are unknown"
)
UNKNOWN = (
    "Which tokens are pictures, words, state, actions or padding. All tokens of a module are one "
    f"group, `{GROUP}`, and pooled values include padding.",
    "The position of tokens in the picture: there is no heatmap.",
    "Whether a module's output is a residual stream, and whether an edit of it can change an "
    "action. No site is refused for having no effect.",
    "The feature axis of a module that transposes its output at its end. The axis is assumed to be "
    "that of its last layer.",
    "The earlier observations. A policy that reads several observations gets the current one "
    "repeated, as lerobot does at the start of an episode.",
    "How much of a chunk to execute. Temporal ensembling and action queues belong to "
    "select_action; the whole chunk is served.",
)
"""What an adapter of modules cannot know, for people."""
_ACTION, _IMAGES = "action", "observation.images"


class ModuleAdapter:
    """Reads and edits what a policy's modules put out; runs the policy once to see their shapes.

    Args:
        policy: with `config` and `predict_action_chunk`.
        batch: what its preprocessor makes of any observation, a batch of one.

    Raises:
        ConfigurationError: the policy gives no chunk, or no module puts out tokens.
    """

    def __init__(self, policy: Any, batch: Mapping[str, Any]) -> None:
        self._policy = policy
        forms = forms_of(policy, partial(self._try, batch))
        self._forms = {MODULE + name: form for name, form in forms.items()}
        if not self._forms:
            raise ConfigurationError(
                f"No module of this {policy.name} has an output of tokens with one shape and a "
                "known feature axis. Write an adapter for it: docs/families.md."
            )
        self._tokens = {site: form.tokens for site, form in self._forms.items()}
        self._sites = {
            name: Site(name, form.width, (GROUP,), form.runs, why_no_heatmap=WHY_NO_HEATMAP)
            for name, form in self._forms.items()
        }

    @property
    def sites(self) -> Mapping[str, Site]:
        return self._sites

    @property
    def noise_shape(self) -> tuple[int, int]:
        """The noise is a seed: the policy draws for itself."""
        return 1, 1

    def attach(self, site: str, function: ResidualFunction) -> Detachable:
        module = self._policy.get_submodule(site.removeprefix(MODULE))
        handle: Detachable = module.register_forward_hook(
            partial(self._at_output, site, self._forms[site], function)
        )
        return handle

    def token_masks(self, site: str, batch: Mapping[str, Tensor]) -> TokenMasks:
        """Return all tokens of the site's last run: only then their number is known."""
        device = next(self._policy.parameters()).device
        count = self._tokens[site]
        return {GROUP: full_mask(1, count, 0, count, device)}

    def camera_patches(self, site: str, batch: Mapping[str, Tensor]) -> tuple[CameraPatches, ...]:
        """Return none, see `WHY_NO_HEATMAP`."""
        return ()

    def predict(
        self, batch: dict[str, Tensor], noise: Tensor, previous: PreviousChunk | None = None
    ) -> Tensor:
        """Return the chunk (1, H, A); what the policy draws comes from `noise` as seed."""
        refuse_previous(previous, self._policy.name)
        with drawn_from(noise), _modules_are_called():
            chunk: Tensor = self._policy.predict_action_chunk(self._with_history(batch))
        return chunk

    def _at_output(
        self,
        site: str,
        form: Form,
        function: ResidualFunction,
        _module: nn.Module,
        _args: object,
        output: Any,
    ) -> Any:
        tensor = first_tensor(output)
        assert tensor is not None  # it was one when the network was looked at
        stream = form.stream(tensor)
        self._tokens[site] = stream.shape[1]
        delta = undisturbed(function, stream)
        if delta is None:
            return None
        return with_first(output, tensor + form.output(delta, tensor))

    def _try(self, batch: Mapping[str, Any]) -> None:
        """Run the policy once.

        Raises:
            ConfigurationError: it does not give a chunk.
        """
        name = self._policy.name
        try:
            with torch.inference_mode():
                chunk = self.predict(dict(batch), torch.zeros(1, 1, 1))
        except Exception as error:  # somebody else's code: it raises anything
            raise ConfigurationError(
                f"The {name} policy has no adapter of its own, and its predict_action_chunk fails "
                f"on a blank observation ({type(error).__name__}: {error})."
            ) from error
        if not isinstance(chunk, Tensor) or chunk.ndim != 3:
            shape = getattr(chunk, "shape", type(chunk).__name__)
            raise ConfigurationError(
                f"The {name} policy's predict_action_chunk gave {shape}, not a chunk (B, H, A)."
            )

    def _with_history(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the batch, and fill the policy's queues of observations with it.

        lerobot's `select_action` does so at every step; a chunk that is asked for alone finds what
        another request left there.
        """
        policy = self._policy
        batch = {key: value for key, value in batch.items() if key != _ACTION}
        queues = getattr(policy, "_queues", None)
        if not queues:
            return batch
        policy.reset()
        queues = policy._queues
        cameras = list(getattr(policy.config, "image_features", None) or ())
        if _IMAGES in queues and cameras:
            batch[_IMAGES] = torch.stack([batch[key] for key in cameras], dim=-4)
        for key in queues.keys() & batch.keys():
            queues[key].extend([batch[key]] * (queues[key].maxlen or 1))
        return batch


@contextmanager
def _modules_are_called() -> Iterator[None]:
    """Keep torch from its fused attention, which calls no modules where no hook is on them.

    So a policy acts alike to the bit whether somebody looks or not.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def module_adapter(loaded: LoadedPolicy) -> ModuleAdapter:
    """Return the adapter of a policy that has none of its own.

    Raises:
        ConfigurationError: the policy does not give a chunk of a blank observation.
    """
    frame: dict[str, Any] = {"task": "look at the table"}
    for key, feature in observed_features(loaded.policy.config).items():
        frame[key] = torch.zeros(*feature.shape)
    return ModuleAdapter(loaded.policy, loaded.preprocessor(frame))
