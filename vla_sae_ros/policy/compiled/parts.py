"""The parts of a flow-matching policy of lerobot's that are compiled, one by one.

lerobot compiles `sample_actions` whole: its loop over the denoising steps is unrolled, so that ten
steps are compiled ten times. Here three parts are: what embeds pictures and words, the backbone's
run over them, and one denoising step, which every step runs. lerobot's own code calls them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

Progress = Callable[[str], None]
"""Is told in words what is being compiled, and how long it took."""
PARTS = ("pictures and words", "backbone", "denoising step")


class CompiledParts:
    """Replaces the parts of one policy by compiled ones until `remove`.

    What hangs on the policy when a part first runs is compiled with it, and what is attached later
    is not seen: taps come first.

    Args:
        policy: a SmolVLAPolicy, PI0Policy or PI05Policy in evaluation mode.
        progress: told of every part.
        captured: a part's launches are recorded as a CUDA graph, too.
    """

    def __init__(self, policy: Any, progress: Progress, captured: bool = False) -> None:
        self._model: Any = policy.model
        self._stacks: Any = getattr(self._model, "vlm_with_expert", None)
        self._vision: Any = None
        if self._stacks is not None:
            self._vision = self._stacks.get_vlm_model().vision_model.embeddings
        else:
            self._stacks = self._model.paligemma_with_expert
        self._original = {
            "embed": _of_class(self._model, "embed_prefix"),
            "forward": _of_class(self._stacks, "forward"),
            "step": _of_class(self._model, "denoise_step"),
        }
        parts = (_own_code(_embed), _own_code(_fill), _own_code(_step))
        self._embed, self._fill, self._step = (
            _Told(_compile(part, captured), name, progress)
            for part, name in zip(parts, PARTS, strict=True)
        )
        self._positions = _KnownPositions(self._vision) if self._vision is not None else None
        self.install()

    @property
    def compiled(self) -> bool:
        """Whether a part has run, so that what is attached from now on is not seen."""
        return any(part.compiled for part in (self._embed, self._fill, self._step))

    def install(self) -> None:
        """Make the policy run its compiled parts; they are there from the beginning."""
        self._model.embed_prefix = self._embedded
        self._model.denoise_step = self._stepped
        self._stacks.forward = self._filled
        if self._positions is not None:
            self._positions.install()

    def remove(self) -> None:
        """Give the policy its own parts back; does nothing where it has them."""
        for owner, name in (
            (self._model, "embed_prefix"),
            (self._model, "denoise_step"),
            (self._stacks, "forward"),
        ):
            vars(owner).pop(name, None)
        if self._positions is not None:
            self._positions.remove()

    def _embedded(self, images: Any, image_masks: Any, *rest: Any, **named: Any) -> Any:
        # How a picture lies in memory depends on its size before lerobot scaled it.
        pictures = [image.contiguous() for image in images]
        if self._positions is not None and not self._embed.compiled:
            for picture in pictures:
                self._positions.learn(picture)
        return self._embed(self._original["embed"], pictures, list(image_masks), rest, named)

    def _filled(self, **given: Any) -> Any:
        embeds = given["inputs_embeds"]
        if torch.compiler.is_compiling() or embeds[1] is not None:
            return self._original["forward"](**given)
        keys, values = self._fill(
            self._original["forward"], embeds[0], given["attention_mask"], given["position_ids"]
        )
        return [None, None], _cache(keys, values)

    def _stepped(
        self, prefix_pad_masks: Tensor, past_key_values: Any, x_t: Tensor, timestep: Tensor
    ) -> Any:
        layers = past_key_values.layers
        keys, values = [layer.keys for layer in layers], [layer.values for layer in layers]
        step = self._original["step"]
        if torch.is_inference_mode_enabled() and not x_t.is_inference():
            x_t = x_t.clone()  # as the tensors of all later steps: torch compiles each kind anew
        return self._step(step, prefix_pad_masks, keys, values, x_t, timestep)


def _embed(
    embed: Any, images: list[Tensor], masks: list[Tensor], rest: Any, named: Any
) -> tuple[Tensor, ...]:
    made: tuple[Tensor, ...] = embed(images, masks, *rest, **named)
    return made


def _fill(
    forward: Any, embedded: Tensor, mask: Tensor, positions: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    _, cache = forward(
        attention_mask=mask,
        position_ids=positions,
        past_key_values=None,
        inputs_embeds=[embedded, None],
        use_cache=True,
    )
    return [layer.keys for layer in cache.layers], [layer.values for layer in cache.layers]


def _step(
    step: Any, mask: Tensor, keys: list[Tensor], values: list[Tensor], x_t: Tensor, time: Tensor
) -> Tensor:
    # A cache of this step alone: what a step appends to it is of no use to the next one.
    velocity: Tensor = step(
        prefix_pad_masks=mask, past_key_values=_cache(keys, values), x_t=x_t, timestep=time
    )
    return velocity


def _cache(keys: list[Tensor], values: list[Tensor]) -> DynamicCache:
    cache = DynamicCache()
    for layer, (key, value) in enumerate(zip(keys, values, strict=True)):
        cache.update(key, value, layer)
    return cache


def _compile(part: Callable[..., Any], captured: bool) -> Callable[..., Any]:
    mode = "reduce-overhead" if captured else None
    compiled: Callable[..., Any] = torch.compile(part, fullgraph=True, dynamic=False, mode=mode)
    return compiled


def _own_code(part: Any) -> Callable[..., Any]:
    """Return the function with a code object of its own.

    torch.compile keeps its graphs by code object and hardly looks at hooks: two policies, or one
    with other taps, must not find each other's.
    """
    return FunctionType(part.__code__.replace(), part.__globals__, part.__name__)


def _of_class(owner: Any, name: str) -> Any:
    """Return a method as the class has it, whatever is installed on the instance."""
    return getattr(type(owner), name).__get__(owner)


class _Told:
    """A compiled part that says when its first call, which compiles it, begins and ends."""

    def __init__(self, part: Callable[..., Any], name: str, progress: Progress) -> None:
        self._part, self._name, self._progress = part, name, progress
        self.compiled = False

    def __call__(self, *given: Any) -> Any:
        if self.compiled:
            return self._part(*given)
        number = f"part {PARTS.index(self._name) + 1} of {len(PARTS)}, {self._name}"
        self._progress(f"compiling {number}")
        started = time.monotonic()
        made = self._part(*given)
        self._progress(f"compiled {number}: {time.monotonic() - started:.0f} s")
        self.compiled = True
        return made


class _KnownPositions:
    """Lets SmolVLM's vision tower look its patches' positions up without asking which are real.

    All of them are: lerobot gives it whole pictures of one size. It would find that out with a
    mask, whose number of real patches no graph can know.
    """

    def __init__(self, embeddings: Any) -> None:
        self._embeddings, self._forward = embeddings, _of_class(embeddings, "forward")
        self._positions: dict[tuple[int, ...], Tensor] = {}

    def install(self) -> None:
        self._embeddings.forward = self._embedded

    def remove(self) -> None:
        vars(self._embeddings).pop("forward", None)

    def learn(self, pictures: Tensor) -> None:
        """Compute the positions of pictures (B, 3, H, W) as the tower does."""
        found: list[Tensor] = []
        handle = self._embeddings.position_embedding.register_forward_pre_hook(
            lambda _module, args: found.append(args[0])
        )
        side = self._embeddings.patch_size
        shape = (len(pictures), pictures.shape[2] // side, pictures.shape[3] // side)
        mask = torch.ones(shape, dtype=torch.bool, device=pictures.device)
        dtype = self._embeddings.patch_embedding.weight.dtype
        try:
            self._forward(pixel_values=pictures.to(dtype), patch_attention_mask=mask)
        finally:
            handle.remove()
        self._positions[tuple(pictures.shape)] = found[0].clone()

    def _embedded(self, pixel_values: Tensor, patch_attention_mask: Tensor) -> Tensor:
        positions = self._positions.get(tuple(pixel_values.shape))
        if positions is None:
            return self._forward(pixel_values, patch_attention_mask)
        patches = self._embeddings.patch_embedding(pixel_values).flatten(2).transpose(1, 2)
        placed: Tensor = patches + self._embeddings.position_embedding(positions)
        return placed
