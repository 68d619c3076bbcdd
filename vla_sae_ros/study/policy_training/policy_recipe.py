"""How a policy is trained, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vla_sae_ros.core.errors import ConfigurationError, complaint


@dataclass(frozen=True)
class Recipe:
    """How to train."""

    steps: int = 3000
    batch_size: int = 16
    """Pictures per step."""
    frames: int = 2
    """At most so many frames (instructions) per picture: they share the look at it."""
    vision_steps: int = 0
    """First so many steps train nothing but where objects appear in the pictures."""
    learning_rate: float = 8e-4
    final_rate_share: float = 0.02
    """Of the learning rate, at the end of the cosine."""
    warmup_steps: int = 100
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    average_decay: float = 0.998
    """Of the exponential moving average of the weights, which is what is saved."""
    draws: int = 2
    """Noise draws per backbone pass."""
    landmark_weight: float = 1.0
    map_weight: float = 0.3
    """Of the losses for finding objects in the pictures, and for looking at the target."""
    brightness: float = 0.2
    """Pictures are brightened or darkened by up to this share; never shifted, since a fixed
    camera tells position by place in the picture."""
    contrast: float = 0.15
    colour: float = 0.08
    """Contrast, and each colour's share of the brightness, are changed by up to these shares."""
    reworded: float = 0.3
    """Share of the frames whose instruction is said in other words, where some are known."""
    insulated: bool = False
    """The backbone learns from the losses beside the actions' alone (knowledge insulation)."""
    seed: int = 0
    checkpoint_every: int = 100

    def __post_init__(self) -> None:
        """Raise ConfigurationError for a number with which nothing can be trained."""
        for name in ("steps", "batch_size", "frames", "draws", "checkpoint_every"):
            if (value := getattr(self, name)) < 1:
                raise ConfigurationError(complaint(name.replace("_", " "), value, "1 or more"))
        if self.vision_steps < 0:
            raise ConfigurationError(complaint("vision steps", self.vision_steps, "0 or more"))
        if not 0.0 < self.learning_rate < math.inf:
            raise ConfigurationError(complaint("learning rate", self.learning_rate, "above 0"))

    def rate_at(self, step: int) -> float:
        """Return the learning rate: linear warm-up, then a cosine."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
        return self.learning_rate * (self.final_rate_share + (1 - self.final_rate_share) * cosine)
