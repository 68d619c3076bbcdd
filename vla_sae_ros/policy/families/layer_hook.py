"""Reading and editing the residual stream where a decoder layer is called as a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vla_sae_ros.policy.families.adapter import Detachable, ResidualFunction
from vla_sae_ros.sae.torch_releases import is_compiling


def undisturbed(function: ResidualFunction, stream: Tensor) -> Tensor | None:
    """Call the function on the stream, without gradients and in the precision it asks for.

    Real-time chunking runs layers with gradients on, GR00T under autocast to bfloat16.
    """
    if is_compiling():
        return function(stream)  # a compiled policy infers without gradients and autocast
    # The one spelling that OpenVLA's torch 2.2 and lerobot's have in common.
    if not torch.is_grad_enabled() and not torch._C._is_any_autocast_enabled():
        return function(stream)
    with torch.no_grad(), torch.autocast(stream.device.type, enabled=False):
        return function(stream.detach())


def hook_layer(
    layer: nn.Module,
    function: ResidualFunction,
    applies: Callable[[Tensor], bool] = lambda _stream: True,
) -> Detachable:
    """Attach `function` to what a layer returns: a tensor (B, T, d), or a tuple that begins so.

    `applies` says of a run's stream whether the function is called in this run.
    """

    def add_to_output(_module: nn.Module, _args: object, output: Any) -> Any:
        stream = output[0] if isinstance(output, tuple) else output
        if not applies(stream):
            return None
        delta = undisturbed(function, stream)
        if delta is None:
            return None
        changed = stream + delta
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    handle: Detachable = layer.register_forward_hook(add_to_output)
    return handle


def hook_input(layer: nn.Module, function: ResidualFunction) -> Detachable:
    """Attach `function` to the stream (B, T, d) that a layer is given as its first argument."""

    def add_to_input(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        delta = undisturbed(function, args[0])
        return None if delta is None else (args[0] + delta, *args[1:])

    handle: Detachable = layer.register_forward_pre_hook(add_to_input)
    return handle
