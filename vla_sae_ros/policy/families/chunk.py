"""Asking lerobot's policies for a chunk: with given noise, with or without real-time chunking."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from vla_sae_ros.core.errors import ConfigurationError, complaint


@dataclass(frozen=True)
class PreviousChunk:
    """What is left of the chunk before: real-time chunking (RTC) pulls the new one towards it.

    Attributes:
        actions: (B, n, A) normalised actions that are not executed yet.
        delay: [ticks] actions that will be executed before the new chunk is there.
        execution_horizon: [ticks] over which the pull fades; None = the policy's own.
    """

    actions: Tensor
    delay: int
    execution_horizon: int | None = None


def predict_chunk(
    policy: Any, batch: dict[str, Tensor], noise: Tensor, previous: PreviousChunk | None
) -> Tensor:
    """Return the normalised chunk (B, H, A) of a flow-matching policy of lerobot's.

    Raises:
        ConfigurationError: a previous chunk for a policy whose configuration has RTC off.
    """
    if previous is None:
        return policy.predict_action_chunk(batch, noise=noise)
    rtc = policy.config.rtc_config
    if rtc is None or not rtc.enabled:
        raise ConfigurationError(
            complaint(
                "a previous chunk for a policy without real-time chunking",
                rtc,
                "an rtc_config with enabled: true",
                "Set it in the policy's config.json.",
            )
        )
    # RTC differentiates, which tensors made in inference mode forbid: it gets copies.
    with torch.inference_mode(False), torch.no_grad():
        return policy.predict_action_chunk(
            {key: _copy(value) for key, value in batch.items()},
            noise=noise.clone(),
            prev_chunk_left_over=previous.actions.clone(),
            inference_delay=previous.delay,
            execution_horizon=previous.execution_horizon,
        )


def enable_rtc(policy: Any) -> str:
    """Let a policy of a family that continues chunks take a previous one; return how it does.

    As the `rtc_config` of its configuration says, `enabled` apart, or lerobot's defaults.

    Raises:
        ConfigurationError: its actions are relative to the state.
    """
    if getattr(policy.config, "use_relative_actions", False):
        raise ConfigurationError(
            f"no real-time chunking for a {policy.name} with use_relative_actions: true: the "
            "previous chunk's actions are relative to an older state. Serve it with rtc:=false."
        )
    if not hasattr(policy, "init_rtc_processor"):
        return f"{policy.name} blends a chunk into the one before"  # without lerobot's processor
    from lerobot.policies.rtc.configuration_rtc import RTCConfig  # not in OpenVLA's environment

    rtc = policy.config.rtc_config
    policy.config.rtc_config = RTCConfig() if rtc is None else replace(rtc, enabled=True)
    policy.init_rtc_processor()
    # lerobot turns gradients on: with trainable weights it would keep a graph of every layer for
    # a gradient that none of them enters.
    policy.requires_grad_(False)
    used = policy.config.rtc_config
    smolvla = policy.name == "smolvla"
    steps = policy.config.num_steps if smolvla else policy.config.num_inference_steps
    return (
        f"real-time chunking: max_guidance_weight {used.max_guidance_weight:g} in {steps} "
        f"denoising steps, weights {used.prefix_attention_schedule.value} over execution_horizon "
        f"{used.execution_horizon} (rtc_config in the policy's config.json)"
    )


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def refuse_previous(previous: PreviousChunk | None, family: str) -> None:
    """Raise ConfigurationError where a family that has no real-time chunking gets a chunk."""
    if previous is not None:
        raise ConfigurationError(
            f"{family} has no real-time chunking in lerobot; ask for its chunk without a previous "
            "one."
        )


@contextmanager
def drawn_from(noise: Tensor) -> Iterator[None]:
    """Seed torch's generators from `noise`, for policies that draw for themselves; then restore."""
    digest = hashlib.blake2b(noise.cpu().numpy().tobytes(), digest_size=8).digest()
    with torch.random.fork_rng(devices=[noise.device] if noise.is_cuda else []):
        torch.manual_seed(int.from_bytes(digest) >> 1)
        yield


def refuse_compiled(policy: Any) -> None:
    """Raise ConfigurationError where the policy compiles itself, so that no hook would be called.

    torch.compile keeps the graph it traced first; hooks that come later are not in it.
    """
    if policy.config.compile_model:
        raise ConfigurationError(
            f"the policy's configuration has compile_model: true, and a compiled {policy.name} "
            "cannot be tapped. Set compile_model to false in its config.json."
        )
