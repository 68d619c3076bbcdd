"""What OpenVLA's own evaluation does round its model: the prompt, the picture, the gripper."""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor

CROPPED_AREA = 0.9
"""Share of a picture's area that is left by the crop of its centre."""
GRIPPER = -1
"""Which of the action's numbers is the gripper's."""
OWN_SIZE = 224
"""[px] per side of the picture that is cropped and of what comes of it."""


def prompt_of(instruction: str) -> str:
    """Return the words that OpenVLA was trained on round an instruction."""
    return f"In: What action should the robot take to {instruction.lower()}?\nOut:"


def cropped_side(area: float = CROPPED_AREA) -> float:
    """Return the share of each side that a crop of the centre leaves."""
    return math.sqrt(area)


def shown_picture(picture: np.ndarray, crops: bool) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 as the model's processor gets it, (224, 224, 3) uint8.

    It is made square with Lanczos' filter. Policies that were trained on cropped pictures see the
    centre, 0.9 of the area, stretched to the same size.
    """
    square = Image.fromarray(picture).resize((OWN_SIZE, OWN_SIZE), Image.Resampling.LANCZOS)
    shown = np.asarray(square)
    return _centre(shown) if crops else shown


def _centre(picture: np.ndarray) -> np.ndarray:
    """Return the centre, sampled bilinearly from corner to corner as TensorFlow crops."""
    side = cropped_side()
    at = ((1 - side) / 2 + side * np.linspace(0, 1, OWN_SIZE)) * (OWN_SIZE - 1)
    low = np.floor(at).astype(int)
    high, share = np.minimum(low + 1, OWN_SIZE - 1), at - low
    whole = picture.astype(np.float64)
    down = share[:, None, None]
    rows = whole[low] * (1 - down) + whole[high] * down
    across = share[None, :, None]
    cut = rows[:, low] * (1 - across) + rows[:, high] * across
    return np.clip(np.rint(cut), 0, 255).astype(np.uint8)


def robot_gripper(chunk: Tensor) -> Tensor:
    """Return actions (..., A) whose gripper is LIBERO's: -1 opens, +1 closes.

    OpenVLA's is 0 closed to 1 open. It is mapped to [-1, 1], binarised and inverted.
    """
    mapped = chunk.clone()
    mapped[..., GRIPPER] = -torch.sign(2 * chunk[..., GRIPPER] - 1)
    return mapped
