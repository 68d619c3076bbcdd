"""What a feature may do to an action chunk, as one number that can be differentiated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vla_sae_ros.activations.format import StepRecord
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.gradient import Effect
from vla_sae_ros.sim.conventions import ACTION_NAMES

TOWARD = "toward "
NUMBER = "action "
NAMES = ("height", "gripper", "speed", f'"{TOWARD}<object>"', f'"{NUMBER}<number>"')


@dataclass(frozen=True)
class ScreenEffect:
    """An effect by name.

    meaning: what a positive number says. at: gives it for one step; None where that step does not
    know what is needed.
    """

    name: str
    meaning: str
    at: Callable[[StepRecord], Effect | None]


def screen_effect(name: str) -> ScreenEffect:
    """Return the effect of this name; the mean over the rows of the chunk, in action units.

    Raises:
        ConfigurationError: there is no such effect.
    """
    if name.startswith(TOWARD) and name.removeprefix(TOWARD).strip():
        thing = name.removeprefix(TOWARD).strip()
        meaning = f"translation command towards {thing}"
        return ScreenEffect(name, meaning, lambda step: _toward(thing, step))
    if name.startswith(NUMBER) and name.removeprefix(NUMBER).isdecimal():
        number = int(name.removeprefix(NUMBER))
        meaning = f"number {number} of the action, counted from 0"
        return ScreenEffect(name, meaning, lambda _step: lambda actions: _number(actions, number))
    fixed: Mapping[str, tuple[str, Effect]] = {
        "height": ("vertical command, + is up", _height),
        "gripper": ("gripper command, + closes", _gripper),
        "speed": ("length of the translation command", _speed),
    }
    if name not in fixed:
        raise ConfigurationError(complaint("--effect", name, ", ".join(NAMES)))
    meaning, effect = fixed[name]
    return ScreenEffect(name, meaning, lambda _step: effect)


def _height(actions: Tensor) -> Tensor:
    return _translation(actions)[:, 2].mean()


def _speed(actions: Tensor) -> Tensor:
    return torch.linalg.vector_norm(_translation(actions), dim=1).mean()


def _gripper(actions: Tensor) -> Tensor:
    return _libero(actions)[:, -1].mean()


def _number(actions: Tensor, number: int) -> Tensor:
    if number >= actions.shape[1]:
        raise ConfigurationError(
            complaint(f"--effect {NUMBER}", number, f"0 to {actions.shape[1] - 1}")
        )
    return actions[:, number].mean()


def _toward(thing: str, step: StepRecord) -> Effect | None:
    """Return the command along the line from hand to object; None where either is unknown."""
    if thing not in step.object_positions or step.state is None or len(step.state) < 3:
        return None
    line = np.array(step.object_positions[thing]) - np.array(step.state[:3])
    length = float(np.linalg.norm(line))
    if not length > 0.0:
        return None
    unit = torch.from_numpy((line / length).astype(np.float32))

    def effect(actions: Tensor) -> Tensor:
        return (_translation(actions) @ unit.to(actions)).mean()

    return effect


def _translation(actions: Tensor) -> Tensor:
    return _libero(actions)[:, :3]


def _libero(actions: Tensor) -> Tensor:
    """Return the actions if they can be LIBERO's; what others' numbers do is not known."""
    if actions.shape[1] != len(ACTION_NAMES):
        raise ConfigurationError(
            complaint(
                "numbers of an action",
                actions.shape[1],
                f"LIBERO's {len(ACTION_NAMES)}: {', '.join(ACTION_NAMES)}",
                f'Of other actions name a number: --effect "{NUMBER}0".',
            )
        )
    return actions
