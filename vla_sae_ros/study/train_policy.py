"""Training the small SmolVLA on demonstrations, on a CPU, with resumable checkpoints."""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from torch import Tensor
from tqdm import tqdm
from transformers import AutoTokenizer

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.checkpoint import save_checkpoint
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny_smolvla import (
    VLM_FOLDER,
    TinySize,
    build_tiny_smolvla,
    write_vlm_folder,
)
from vla_sae_ros.study.flow_matching import LandmarkHead, training_loss, use_fused_attention
from vla_sae_ros.study.training_set import (
    Statistics,
    TrainingSet,
    load_training_set,
    statistics_of,
)

TRAINING_STATE = "training_state.pt"
POLICY_FOLDER = "policy"


@dataclass(frozen=True)
class Recipe:
    """How to train."""

    steps: int = 3000
    batch_size: int = 16
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
    brightness: float = 0.2
    """Pictures are brightened or darkened by up to this share; never shifted, since a fixed
    camera tells position by place in the picture."""
    seed: int = 0
    checkpoint_every: int = 100

    def rate_at(self, step: int) -> float:
        """Return the learning rate: linear warm-up, then a cosine."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
        return self.learning_rate * (
            self.final_rate_share + (1 - self.final_rate_share) * cosine
        )


class Trainer:
    """One training run in an output folder: `policy/` to use, `training_state.pt` to resume."""

    def __init__(
        self,
        data: TrainingSet,
        out: Path,
        recipe: Recipe,
        start_from: Path | None = None,
        size: TinySize = TinySize(),
    ) -> None:
        self._data, self._out, self._recipe = data, out, recipe
        out.mkdir(parents=True, exist_ok=True)
        self._vlm_folder, policy, self._stats = _starting_point(data, out, recipe, start_from, size)
        self._policy = policy
        use_fused_attention(policy)
        width = policy.model.vlm_with_expert.config.text_config.hidden_size
        torch.manual_seed(recipe.seed)
        self._head = LandmarkHead(width)
        self._parameters = [*policy.parameters(), *self._head.parameters()]
        for parameter in self._parameters:
            parameter.requires_grad = True
        self._average = [parameter.detach().clone() for parameter in policy.parameters()]
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=recipe.learning_rate, betas=(0.9, 0.95),
            weight_decay=recipe.weight_decay, fused=True,
        )
        self._tokens, self._token_mask = _tokenize(self._vlm_folder, data.instructions)
        self._step = 0
        self._seconds = 0.0
        self._resume()

    def train(self) -> float:
        """Train to the recipe's last step; returns the mean flow loss of the last 100 steps."""
        self._policy.train()
        recent: list[float] = []
        bar = tqdm(total=self._recipe.steps, initial=self._step, desc="training", unit="step")
        started = time.monotonic()
        for rows in self._batches():
            recent = [*recent[-99:], self._update(self._make_batch(rows))]
            bar.update()
            bar.set_postfix(flow=f"{sum(recent) / len(recent):.4f}", refresh=False)
            if self._step % self._recipe.checkpoint_every == 0 or self._step == self._recipe.steps:
                self._seconds += time.monotonic() - started
                started = time.monotonic()
                self.save()
        bar.close()
        return sum(recent) / max(1, len(recent))

    def save(self) -> None:
        """Write the averaged policy, and everything needed to resume."""
        live = [parameter.detach().clone() for parameter in self._policy.parameters()]
        self._put(self._average)
        stats = {
            "observation.state": {"mean": self._stats.state_mean, "std": self._stats.state_std},
            "action": {"mean": self._stats.action_mean, "std": self._stats.action_std},
        }
        save_checkpoint(self._policy, stats, self._vlm_folder, self._out / POLICY_FOLDER)
        self._put(live)
        partial = self._out / f".{TRAINING_STATE}"
        torch.save(
            {
                "step": self._step, "seconds": self._seconds, "recipe": asdict(self._recipe),
                "policy": self._policy.state_dict(), "head": self._head.state_dict(),
                "optimizer": self._optimizer.state_dict(), "average": self._average,
                "statistics": asdict(self._stats), "generator": torch.get_rng_state(),
            },
            partial,
        )
        os.replace(partial, self._out / TRAINING_STATE)

    def _resume(self) -> None:
        path = self._out / TRAINING_STATE
        if not path.is_file():
            return
        state = torch.load(path, weights_only=True)
        self._policy.load_state_dict(state["policy"])
        self._head.load_state_dict(state["head"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._average = state["average"]
        self._stats = Statistics(**state["statistics"])
        self._step, self._seconds = state["step"], state["seconds"]
        torch.set_rng_state(state["generator"])

    def _batches(self) -> Iterator[Tensor]:
        """Yield row numbers, an epoch's permutation after the other."""
        size = min(self._recipe.batch_size, len(self._data))
        left = torch.empty(0, dtype=torch.int64)
        while self._step < self._recipe.steps:
            if len(left) < size:
                left = torch.cat([left, torch.randperm(len(self._data))])
            rows, left = left[:size], left[size:]
            yield rows

    def _make_batch(self, rows: Tensor) -> dict[str, Tensor]:
        data, stats = self._data, self._stats
        pictures = data.pictures[rows].float().div_(255.0)
        gain = 1 + (2 * torch.rand(*pictures.shape[:2], 1, 1, 1) - 1) * self._recipe.brightness
        chosen = data.instruction[rows]
        return {
            "pictures": (pictures * gain).clamp_(0, 1) * 2 - 1,
            "tokens": self._tokens[chosen],
            "token_mask": self._token_mask[chosen],
            "state": (data.states[rows] - stats.state_mean) / stats.state_std,
            "actions": (data.chunks[rows] - stats.action_mean) / stats.action_std,
            "valid": data.valid[rows],
            "landmarks": data.landmarks[rows],
        }

    def _update(self, batch: dict[str, Tensor]) -> float:
        rate = self._recipe.rate_at(self._step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        loss, flow = training_loss(
            self._policy, self._head, batch, self._recipe.draws, self._recipe.landmark_weight
        )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, self._recipe.gradient_clip)
        self._optimizer.step()
        self._step += 1
        # Early on the average follows quickly, or it would keep the random start for long.
        decay = min(self._recipe.average_decay, self._step / (self._step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(self._average, list(self._policy.parameters()), 1 - decay)
        return flow.item()

    def _put(self, values: list[Tensor]) -> None:
        with torch.no_grad():
            for parameter, value in zip(self._policy.parameters(), values, strict=True):
                parameter.copy_(value)


def _starting_point(
    data: TrainingSet, out: Path, recipe: Recipe, start_from: Path | None, size: TinySize
) -> tuple[Path, SmolVLAPolicy, Statistics]:
    """Return (backbone folder, policy, statistics): random, or an earlier policy's."""
    if start_from is None:
        vlm_folder = out / VLM_FOLDER
        if not vlm_folder.is_dir():
            write_vlm_folder(vlm_folder, _all_instructions(data.instructions), size)
        policy = build_tiny_smolvla(vlm_folder, size, recipe.seed)
        return vlm_folder, policy, statistics_of(data)
    loaded = load_policy(start_from)
    if not isinstance(loaded.policy, SmolVLAPolicy):
        raise ConfigurationError(
            complaint("Cannot go on training this policy", loaded.name, "a SmolVLA")
        )
    return start_from / VLM_FOLDER, loaded.policy, _saved_statistics(loaded.preprocessor,
                                                                     loaded.postprocessor)


def _saved_statistics(preprocessor: Any, postprocessor: Any) -> Statistics:
    def of(pipeline: Any, key: str) -> tuple[Tensor, Tensor]:
        step = next(step for step in pipeline.steps if getattr(step, "stats", None))
        values = step.stats[key]
        return torch.as_tensor(values["mean"]).float(), torch.as_tensor(values["std"]).float()

    return Statistics(*of(preprocessor, "observation.state"), *of(postprocessor, "action"))


def _all_instructions(own: tuple[str, ...]) -> list[str]:
    """Return every installed LIBERO instruction and, many times over, those trained on."""
    from vla_sae_ros.sim.suites import suite_names, suite_tasks

    known = {task.instruction for suite in suite_names() for task in suite_tasks(suite)}
    return sorted(known) + 50 * list(own)


def _tokenize(vlm_folder: Path, instructions: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Return tokens and mask (instructions, T), as SmolVLA's preprocessor makes them."""
    tokenizer = AutoTokenizer.from_pretrained(vlm_folder)
    encoded = tokenizer(
        [f"{text}\n" for text in instructions], padding="longest", padding_side="right",
        return_tensors="pt",
    )
    return encoded["input_ids"], encoded["attention_mask"].bool()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `vla-sae train-policy`."""
    defaults = Recipe()
    parser.add_argument("--demos", type=Path, action="append", required=True,
                        help="folder of demonstrations; repeatable")
    parser.add_argument("--out", type=Path, required=True, help="output folder; resumed if begun")
    parser.add_argument("--start-from", type=Path, help="policy folder to go on from")
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--batch-size", type=int, default=defaults.batch_size)
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument("--seed", type=int, default=defaults.seed)


def run(args: argparse.Namespace) -> int:
    """Train and say where the policy is."""
    recipe = Recipe(steps=args.steps, batch_size=args.batch_size,
                    learning_rate=args.learning_rate, seed=args.seed)
    data = load_training_set(args.demos, TinySize().chunk)
    print(f"{len(data)} frames, {len(data.instructions)} instructions")
    loss = Trainer(data, args.out, recipe, args.start_from).train()
    print(f"flow loss {loss:.4f}; policy in {args.out / POLICY_FOLDER}")
    return 0


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser(description=__doc__)
    add_arguments(PARSER)
    raise SystemExit(run(PARSER.parse_args()))
