"""What the modules of any network put out in one inference, seen as tokens with features."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

_CHANNELS_FIRST = (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm, nn.GroupNorm)


@dataclass(frozen=True)
class Form:
    """How a module's output is a stream (1, T, d), for a batch of one.

    Every axis but that of the features counts tokens, in their order.

    Attributes:
        axis: of the features, of the output's axes.
        width: d.
        tokens: T, when the network was looked at.
        runs: of the module in one inference.
    """

    axis: int
    width: int
    tokens: int
    runs: int

    def stream(self, output: Tensor) -> Tensor:
        """Return the output as a stream (1, T, d)."""
        return output.movedim(self.axis, -1).reshape(1, -1, self.width)

    def output(self, stream: Tensor, like: Tensor) -> Tensor:
        """Return a stream (1, T, d), or what broadcasts to it, in the shape of an output."""
        shape = like.movedim(self.axis, -1).shape
        tokens = shape[:-1].numel()
        return stream.expand(1, tokens, self.width).reshape(shape).movedim(-1, self.axis)


@dataclass
class _Seen:
    """A module's outputs, and the features of the last module with weights that ran before each."""

    shapes: list[torch.Size] = field(default_factory=list)
    features: set[tuple[int, int]] = field(default_factory=set)


def first_tensor(output: Any) -> Tensor | None:
    """Return the tensor of floats that an output is or begins with; None where there is none."""
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    return output if isinstance(output, Tensor) and output.is_floating_point() else None


def with_first(output: Any, tensor: Tensor) -> Any:
    """Return the output with another first tensor."""
    if isinstance(output, Tensor):
        return tensor
    changed = [tensor, *output[1:]]
    return type(output)(*changed) if hasattr(output, "_fields") else type(output)(changed)


def forms_of(network: nn.Module, run: Callable[[], object]) -> dict[str, Form]:
    """Run the network once and return the form of every module whose output is known to be tokens.

    Listed are modules that hold others, and the entries of lists of modules: layers and blocks.
    Where its features lie is known from the last module with weights that ran inside it: a
    convolution has them in the second axis, anything else in the last, and their number must fit.
    Left out are modules whose output is no tensor of floats, has another shape at another run of
    the same inference, or does not fit.
    """
    seen: dict[str, _Seen] = {}
    last: list[tuple[int, int]] = []

    def look(name: str) -> Callable[[nn.Module, object, Any], None]:
        def hook(module: nn.Module, _args: object, output: Any) -> None:
            if features := _features(module):
                last[:] = [features]
            tensor = first_tensor(output)
            mine = seen.setdefault(name, _Seen())
            mine.shapes.append(torch.Size() if tensor is None else tensor.shape)
            mine.features.update(last)

        return hook

    with ExitStack() as hooks:
        for name, module in network.named_modules():
            hooks.callback(module.register_forward_hook(look(name)).remove)
        run()
    listed = {name for name, module in network.named_modules() if name and _is_block(network, name)}
    forms = {name: _form(one) for name, one in seen.items() if name in listed}
    return {name: form for name, form in forms.items() if form is not None}


def _is_block(network: nn.Module, name: str) -> bool:
    module, parent = network.get_submodule(name), network.get_submodule(name.rpartition(".")[0])
    in_list = isinstance(parent, (nn.ModuleList, nn.Sequential))
    has_weights = next(module.parameters(), None) is not None
    return (in_list and has_weights) or next(module.children(), None) is not None


def _features(module: nn.Module) -> tuple[int, int] | None:
    """Return (axis, number) of the features that a module with weights of its own puts out."""
    if isinstance(module, nn.MultiheadAttention):
        return -1, module.embed_dim
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim == 0:
        return None
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        return 1, module.out_channels
    if isinstance(module, _CHANNELS_FIRST) or "BatchNorm" in type(module).__name__:
        return 1, weight.shape[0]
    return -1, weight.shape[1] if isinstance(module, nn.Embedding) else weight.shape[0]


def _form(seen: _Seen) -> Form | None:
    shapes = set(seen.shapes)
    if len(shapes) != 1 or len(seen.features) != 1:
        return None
    (shape,), ((axis, width),) = shapes, seen.features
    if len(shape) < 2 or shape[axis] != width:
        return None
    return Form(axis % len(shape), width, shape.numel() // width, len(seen.shapes))
