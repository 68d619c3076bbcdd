"""The three graphs of an export: the prefix, and one denoising step without and with its taps."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from vla_sae_ros.policy.export.graph_tap import GraphTap
from vla_sae_ros.policy.export.parts import PolicyGraphs, Prefix, Step
from vla_sae_ros.policy.families.adapter import PolicyAdapter
from vla_sae_ros.policy.onnx import names
from vla_sae_ros.policy.onnx.description import Description

WORDS, SLOTS = 7, 3
"""Sizes with which torch.export follows the policy; the graphs take others."""

Size = Any  # an int, or a torch.export dimension that may vary
Inputs = dict[str, tuple[tuple[Size, ...], torch.dtype]]
"""Input -> shape and type."""


def write_prefix(
    graphs: PolicyGraphs,
    adapter: PolicyAdapter,
    taps: Sequence[GraphTap],
    description: Description,
    path: Path,
) -> None:
    """Write the graph from pictures, instruction and state to keys, values and the taps' outputs.

    taps: on backbone sites.
    """
    words = Dim("words", min=2, max=description.prompt.max_length)
    inputs: Inputs = {
        names.picture(camera): ((1, 3, *description.picture_size), torch.float32)
        for camera in description.cameras
    }
    inputs[names.TOKENS] = (1, words), torch.int64
    inputs[names.TOKEN_MASK] = (1, words), torch.bool
    if description.state_place == names.IN_PREFIX:
        inputs |= _state_input(description)
    others = description.language_start + graphs.layout.tokens_after_words
    inputs |= _tap_inputs(taps, words + others)
    outputs = [names.PREFIX_MASK, *names.caches(description.backbone_layers)]
    with attached(adapter, taps):
        _write(Prefix(graphs, taps), inputs, outputs + _tap_outputs(taps), path)


def write_step(
    graphs: PolicyGraphs,
    adapter: PolicyAdapter,
    taps: Sequence[GraphTap],
    description: Description,
    path: Path,
) -> None:
    """Write the graph from x_t, t, keys and values to the velocity and the taps' outputs.

    taps: on expert sites.
    """
    horizon, width = description.noise_shape
    others = description.language_start + graphs.layout.tokens_after_words
    longest = others + description.prompt.max_length
    tokens = Dim("prefix_tokens", min=2, max=longest)
    _, heads, head_width = graphs.layout.cache
    cache = (1, heads, tokens, head_width)
    inputs: Inputs = {
        names.X_T: ((1, horizon, width), torch.float32),
        names.TIME: ((1,), torch.float32),
        names.PREFIX_MASK: ((1, tokens), torch.bool),
        **{name: (cache, torch.float32) for name in names.caches(description.backbone_layers)},
        **_tap_inputs(taps, graphs.layout.tokens_before_actions + horizon),
    }
    if description.state_place == names.IN_SUFFIX:
        inputs |= _state_input(description)
    with attached(adapter, taps):
        _write(Step(graphs, taps), inputs, [names.VELOCITY, *_tap_outputs(taps)], path)


@contextmanager
def attached(adapter: PolicyAdapter, taps: Sequence[GraphTap]) -> Iterator[None]:
    """Hook the taps into the policy for the time of the context."""
    with ExitStack() as stack:
        for tap in taps:
            stack.callback(adapter.attach(tap.site.name, tap).remove)
        yield


def _state_input(description: Description) -> Inputs:
    return {names.STATE: ((1, description.graph_state_size), torch.float32)}


def _tap_inputs(taps: Sequence[GraphTap], tokens: Size) -> Inputs:
    inputs: Inputs = {names.CAP: ((1,), torch.float32)} if taps else {}
    for number, tap in enumerate(taps):
        slots = Dim(f"slots_{number}", min=2, max=4096)
        shapes: Inputs = {
            names.FEATURES: ((slots,), torch.int64),
            names.OFFSET: ((slots,), torch.float32),
            names.GAIN: ((slots,), torch.float32),
            names.PROJECTION: ((slots, slots), torch.float32),
            names.SCOPE: ((tokens, slots), torch.float32),
            names.READ: ((tokens,), torch.float32),
        }
        inputs |= {names.of_site(tap.site.name, name): shape for name, shape in shapes.items()}
    return inputs


def _tap_outputs(taps: Sequence[GraphTap]) -> list[str]:
    return [name for tap in taps for name in tap.output_names()]


def _write(module: nn.Module, inputs: Inputs, outputs: list[str], path: Path) -> None:
    feeds = {name: _example(shape, dtype) for name, (shape, dtype) in inputs.items()}
    varying = {
        name: {axis: size for axis, size in enumerate(shape) if not isinstance(size, int)}
        for name, (shape, _) in inputs.items()
    }
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about deprecations inside of the exporter itself
        followed = torch.export.export(
            module.eval(), (feeds,), dynamic_shapes=(varying,), strict=False
        )
        program = torch.onnx.export(
            followed, input_names=list(feeds), output_names=outputs, dynamo=True, verbose=False
        )
    assert program is not None
    program.save(path)


def _example(shape: tuple[Size, ...], dtype: torch.dtype) -> Tensor:
    """Return a tensor of that shape, its varying sizes at their example values."""
    return torch.ones([_example_size(size) for size in shape], dtype=dtype)


def _example_size(size: Size) -> int:
    if isinstance(size, int):
        return size
    root: Any = getattr(size, "root", size)
    derive = getattr(size, "fn", int)
    return int(derive(SLOTS if root.__name__.startswith("slots") else WORDS))
