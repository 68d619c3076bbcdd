"""What lerobot's processors do to observations and actions, as plain numbers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from lerobot.configs.types import NormalizationMode
from lerobot.policies.pi0.processor_pi0 import Pi0NewLineProcessor
from lerobot.policies.pi05.processor_pi05 import Pi05PrepareStateTokenizerProcessorStep
from lerobot.policies.smolvla.processor_smolvla import NewLineTaskProcessorStep
from lerobot.processor import (
    AbsoluteActionsProcessorStep,
    AddBatchDimensionProcessorStep,
    DeviceProcessorStep,
    NormalizerProcessorStep,
    RelativeActionsProcessorStep,
    RenameObservationsProcessorStep,
    TokenizerProcessorStep,
    UnnormalizerProcessorStep,
)

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.onnx.description import Affine, PromptRule
from vla_sae_ros.policy.onnx.names import TOKENIZER

_ENDS_WITH_NEWLINE = (NewLineTaskProcessorStep, Pi0NewLineProcessor)
_RELATIVE = (RelativeActionsProcessorStep, AbsoluteActionsProcessorStep)
_KNOWN = (
    AddBatchDimensionProcessorStep,
    DeviceProcessorStep,
    *_ENDS_WITH_NEWLINE,
    NormalizerProcessorStep,
    Pi05PrepareStateTokenizerProcessorStep,
    *_RELATIVE,
    RenameObservationsProcessorStep,
    TokenizerProcessorStep,
    UnnormalizerProcessorStep,
)


def require_known_steps(loaded: LoadedPolicy) -> None:
    """Raise ConfigurationError naming a processor step that an export would not do."""
    for step in (*loaded.preprocessor.steps, *loaded.postprocessor.steps):
        if not isinstance(step, _KNOWN):
            allowed = [known.__name__ for known in _KNOWN]
            raise ConfigurationError(
                complaint("processor step of a policy to export", type(step).__name__, allowed)
            )
        if isinstance(step, _RELATIVE) and step.enabled:
            raise ConfigurationError(
                complaint(f"{type(step).__name__} of a policy to export", "enabled", "not enabled")
            )


def state_rule(loaded: LoadedPolicy, key: str) -> Affine:
    """Return how the state vector is normalised."""
    step = _only(loaded.preprocessor.steps, NormalizerProcessorStep)
    _require_plain_pictures(step)
    return _affine(step, "STATE", key, inverse=False)


def action_rule(loaded: LoadedPolicy) -> Affine:
    """Return how the actions are normalised."""
    step = _only(loaded.postprocessor.steps, UnnormalizerProcessorStep)
    return _affine(step, "ACTION", "action", inverse=True)


def save_tokenizer(loaded: LoadedPolicy, folder: Path) -> PromptRule:
    """Write the tokenizer into the folder; return how prompts are made."""
    step = _only(loaded.preprocessor.steps, TokenizerProcessorStep)
    tokenizer = step.input_tokenizer
    if step.padding not in ("longest", "max_length") or step.padding_side != "right":
        got = (step.padding, step.padding_side)
        raise ConfigurationError(
            complaint("padding of prompts", got, "longest or max_length, on the right")
        )
    tokenizer.backend_tokenizer.save(str(folder / TOKENIZER))
    steps = loaded.preprocessor.steps
    newline = any(isinstance(one, _ENDS_WITH_NEWLINE) for one in steps)
    return PromptRule(
        ending="\n" if newline else "",
        max_length=step.max_length,
        padded=step.padding == "max_length",
        pad_id=int(tokenizer.pad_token_id),
        with_state=any(isinstance(one, Pi05PrepareStateTokenizerProcessorStep) for one in steps),
    )


def _only(steps: Iterable[Any], kind: type) -> Any:
    found = [step for step in steps if isinstance(step, kind)]
    if len(found) != 1:
        raise ConfigurationError(complaint(f"number of {kind.__name__}s", len(found), 1))
    return found[0]


def _require_plain_pictures(step: NormalizerProcessorStep) -> None:
    mode = _mode(step, "VISUAL")
    if mode is not NormalizationMode.IDENTITY:
        raise ConfigurationError(
            complaint("normalisation of pictures", mode.name, NormalizationMode.IDENTITY.name)
        )


def _mode(step: Any, kind: str) -> NormalizationMode:
    modes = {getattr(key, "value", key): mode for key, mode in step.norm_map.items()}
    return NormalizationMode(modes.get(kind, NormalizationMode.IDENTITY))


def _affine(step: Any, kind: str, key: str, inverse: bool) -> Affine:
    """Return the normalisation of one feature.

    lerobot adds its epsilon to a standard deviation on the way in only, and puts it in the place of
    a range of zero.
    """
    mode, stats = _mode(step, kind), step._tensor_stats.get(key)
    size = step.features[key].shape[0]
    if mode is NormalizationMode.IDENTITY or stats is None:
        return Affine((0.0,) * size, (1.0,) * size)
    if mode is NormalizationMode.MEAN_STD:
        epsilon = 0.0 if inverse else step.eps
        return _numbers(stats["mean"], stats["std"] + epsilon)
    ends = {
        NormalizationMode.MIN_MAX: ("min", "max"),
        NormalizationMode.QUANTILES: ("q01", "q99"),
        NormalizationMode.QUANTILE10: ("q10", "q90"),
    }
    if mode not in ends:
        raise ConfigurationError(complaint(f"normalisation of {key}", mode.name, sorted(ends)))
    low, high = (stats[name] for name in ends[mode])
    width = high - low
    scale = torch.where(width == 0, torch.full_like(width, step.eps), width)
    return _numbers(low, scale, gain=2.0, offset=1.0)


def _numbers(
    shift: torch.Tensor, scale: torch.Tensor, gain: float = 1.0, offset: float = 0.0
) -> Affine:
    return Affine(tuple(shift.tolist()), tuple(scale.tolist()), gain, offset)
