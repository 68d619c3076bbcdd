"""Training the small SmolVLA on demonstrations, on a CPU, with resumable checkpoints."""

from __future__ import annotations

import argparse
import pickle
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.journal import append_to_journal
from vla_sae_ros.core.picture_record import PictureRecord, common_record, write_picture_record
from vla_sae_ros.core.whole_file import whole_file
from vla_sae_ros.policy.checkpoints.checkpoint import save_checkpoint
from vla_sae_ros.policy.tiny.tiny_smolvla import TinySize
from vla_sae_ros.study.policy_training.flow_matching import (
    LandmarkHead,
    backbone_output,
    training_loss,
    use_fused_attention,
)
from vla_sae_ros.study.policy_training.frame_choice import (
    all_frames,
    frames_of_pictures,
    some_frames,
)
from vla_sae_ros.study.policy_training.object_maps import ObjectMapHead, found_share, look, map_loss
from vla_sae_ros.study.policy_training.policy_recipe import Recipe
from vla_sae_ros.study.policy_training.training_set import (
    KINDS,
    LANDMARK_SCALE_M,
    Statistics,
    TrainingSet,
    load_training_set,
)
from vla_sae_ros.study.policy_training.training_start import starting_point, tokenize
from vla_sae_ros.study.policy_training.wordings import wordings

TRAINING_STATE = "training_state.pt"
POLICY_FOLDER = "policy"
PROGRESS = "progress.jsonl"
_NO_STATE = (RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError)
"""What torch raises for a file that is no state, or that of another policy."""


class _Heads(nn.Module):
    """What training asks of the policy beside actions; none of it is saved with the policy."""

    def __init__(self, text_width: int, vision_width: int) -> None:
        super().__init__()
        self.landmarks = LandmarkHead(text_width)
        self.maps = ObjectMapHead(vision_width, len(KINDS))


class Trainer:
    """One training run in an output folder: `policy/` to use, `training_state.pt` to resume."""

    def __init__(
        self,
        data: TrainingSet,
        out: Path,
        recipe: Recipe,
        start_from: Path | None = None,
        size: TinySize = TinySize(),
        held_out: TrainingSet | None = None,
        pictures: PictureRecord | None = None,
    ) -> None:
        self._data, self._out, self._recipe = data, out, recipe
        self._held_out, self._pictures = held_out, pictures
        out.mkdir(parents=True, exist_ok=True)
        self._vlm_folder, policy, self._stats = starting_point(data, out, recipe, start_from, size)
        self._policy = policy
        use_fused_attention(policy)
        sizes = policy.model.vlm_with_expert.config
        torch.manual_seed(recipe.seed)
        self._heads = _Heads(sizes.text_config.hidden_size, sizes.vision_config.hidden_size)
        self._parameters = [*policy.parameters(), *self._heads.parameters()]
        for parameter in self._parameters:
            parameter.requires_grad = True
        self._average = [parameter.detach().clone() for parameter in self._parameters]
        self._first_frame, self._frame_count = frames_of_pictures(data)
        self._optimizer = torch.optim.AdamW(
            self._parameters,
            lr=recipe.learning_rate,
            betas=(0.9, 0.95),
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        said = [wordings(instruction) for instruction in data.instructions]
        self._wordings = torch.tensor([len(texts) for texts in said])
        self._first_wording = self._wordings.cumsum(0) - self._wordings
        self._tokens, self._token_mask = tokenize(
            self._vlm_folder, tuple(text for texts in said for text in texts)
        )
        if recipe.vision_steps and data.marks.isnan().all():
            raise ConfigurationError(
                complaint(
                    "stills to train the vision on",
                    "none",
                    "at least one",
                    "Only they say where objects appear: add some (vla-sae demos --stills), or "
                    "leave --vision-steps out.",
                )
            )
        self._step = 0
        self._seconds = 0.0
        self._resume()

    @property
    def step(self) -> int:
        """Steps that were made, those of earlier runs into the same folder included."""
        return self._step

    def train(self) -> float:
        """Train to the recipe's last step; returns the mean flow loss of the last 100 steps."""
        self._policy.train()
        recent: list[float] = []
        bar = tqdm(total=self._recipe.steps, initial=self._step, desc="training", unit="step")
        started = time.monotonic()
        for pictures in self._batches():
            recent = [*recent[-99:], self._update(self._make_batch(pictures))]
            bar.update()
            bar.set_postfix(flow=f"{sum(recent) / len(recent):.4f}", refresh=False)
            if self._step % self._recipe.checkpoint_every == 0 or self._step == self._recipe.steps:
                self._seconds += time.monotonic() - started
                started = time.monotonic()
                self.save()
                self._report(sum(recent) / len(recent))
                started = time.monotonic()
        bar.close()
        return sum(recent) / max(1, len(recent))

    def save(self) -> None:
        """Write the averaged policy, and everything needed to resume."""
        live = [parameter.detach().clone() for parameter in self._parameters]
        self._put(self._average)
        stats = {
            "observation.state": {"mean": self._stats.state_mean, "std": self._stats.state_std},
            "action": {"mean": self._stats.action_mean, "std": self._stats.action_std},
        }
        save_checkpoint(self._policy, stats, self._vlm_folder, self._out / POLICY_FOLDER)
        if self._pictures is not None:
            write_picture_record(self._out / POLICY_FOLDER, self._pictures)
        self._put(live)
        state = {
            "step": self._step,
            "seconds": self._seconds,
            "recipe": asdict(self._recipe),
            "policy": self._policy.state_dict(),
            "heads": self._heads.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": self._average,
            "statistics": asdict(self._stats),
            "generator": torch.get_rng_state(),
        }
        with whole_file(self._out / TRAINING_STATE) as part:
            torch.save(state, part)

    def _resume(self) -> None:
        path = self._out / TRAINING_STATE
        if not path.is_file():
            return
        try:
            state = torch.load(path, weights_only=True)
            self._policy.load_state_dict(state["policy"])
            self._heads.load_state_dict(state["heads"])
            self._optimizer.load_state_dict(state["optimizer"])
            self._average = state["average"]
            self._stats = Statistics(**state["statistics"])
            self._step, self._seconds = state["step"], state["seconds"]
            torch.set_rng_state(state["generator"])
        except _NO_STATE as error:
            raise ConfigurationError(
                f"The training in {self._out} cannot be resumed: {path} is damaged, or of another "
                f"policy than these options and demonstrations make ({type(error).__name__}: "
                f"{error}). Name another --out, or remove the file to begin again."
            ) from error

    def _report(self, flow: float) -> None:
        """Append to PROGRESS how well the averaged policy finds things it was never shown."""
        line: dict[str, float] = {"step": self._step, "seconds": self._seconds, "flow": flow}
        if self._held_out is not None:
            live = [parameter.detach().clone() for parameter in self._parameters]
            self._put(self._average)
            line |= self._localisation(self._held_out)
            self._put(live)
        rounded = {name: round(value, 4) for name, value in line.items()}
        append_to_journal(self._out / PROGRESS, rounded)

    @torch.no_grad()
    def _localisation(self, held_out: TrainingSet) -> dict[str, float]:
        """Return median horizontal errors (cm) and the share of objects found in the pictures."""
        first, count = frames_of_pictures(held_out)
        errors, shares = [], []
        for pictures in torch.arange(len(first)).split(24):
            batch = self._collect(held_out, pictures, *all_frames(first, count, pictures))
            features, patches = look(self._policy, batch["pictures"])
            shares.append(found_share(self._heads.maps, patches, batch["marks"]))
            prefix = backbone_output(self._policy, features, batch)
            error = self._heads.landmarks(prefix) - batch["landmarks"]
            aside = error.unflatten(-1, (2, 3))[..., :2].norm(dim=-1)
            errors.append(aside * 100 * LANDMARK_SCALE_M)
        target, basket = torch.cat(errors).median(0).values.tolist()
        return {
            "target_cm": target,
            "basket_cm": basket,
            "found": torch.stack(shares).mean().item(),
        }

    def _batches(self) -> Iterator[Tensor]:
        """Yield picture numbers, an epoch's permutation after the other."""
        marked = ~self._data.marks.flatten(1).isnan().all(1)
        pools = {True: marked.nonzero().squeeze(1), False: torch.arange(len(marked))}
        left = torch.empty(0, dtype=torch.int64)
        while self._step < self._recipe.steps:
            pool = pools[self._step < self._recipe.vision_steps]
            if self._step == self._recipe.vision_steps:
                left = left[:0]
            size = min(self._recipe.batch_size, len(pool))
            if len(left) < size:
                left = torch.cat([left, pool[torch.randperm(len(pool))]])
            pictures, left = left[:size], left[size:]
            yield pictures

    def _make_batch(self, pictures: Tensor) -> dict[str, Tensor]:
        rows, shown = some_frames(
            self._first_frame[pictures], self._frame_count[pictures], self._recipe.frames
        )
        batch = self._collect(self._data, pictures, rows, shown)
        chosen = self._data.instruction[rows]
        others = (torch.rand(len(rows)) * (self._wordings[chosen] - 1)).long() + 1
        reworded = (torch.rand(len(rows)) < self._recipe.reworded) & (self._wordings[chosen] > 1)
        said = self._first_wording[chosen] + torch.where(reworded, others, 0)
        batch["tokens"], batch["token_mask"] = self._tokens[said], self._token_mask[said]
        batch["pictures"] = self._disturbed(batch["pictures"])
        return batch

    def _disturbed(self, pictures: Tensor) -> Tensor:
        """Change brightness, contrast and colour of pictures (B, cameras, 3, H, W) in [-1, 1]."""

        def share(most: float, colours: int) -> Tensor:
            return 1 + (2 * torch.rand(*pictures.shape[:2], colours, 1, 1) - 1) * most

        recipe = self._recipe
        gain = share(recipe.brightness, 1) * share(recipe.colour, 3)
        return (((pictures + 1) * gain - 1) * share(recipe.contrast, 1)).clamp_(-1, 1)

    def _collect(
        self, data: TrainingSet, pictures: Tensor, rows: Tensor, shown: Tensor
    ) -> dict[str, Tensor]:
        stats, said = self._stats, self._first_wording[data.instruction[rows]]
        return {
            "pictures": data.pictures[pictures].float().div_(127.5).sub_(1),
            "marks": data.marks[pictures],
            "picture": shown,
            "tokens": self._tokens[said],
            "token_mask": self._token_mask[said],
            "state": (data.states[rows] - stats.state_mean) / stats.state_std,
            "actions": (data.chunks[rows] - stats.action_mean) / stats.action_std,
            "valid": data.valid[rows],
            "landmarks": data.landmarks[rows],
            "target_marks": data.marks[data.picture[rows], :, data.target[rows]].unsqueeze(2),
        }

    def _update(self, batch: dict[str, Tensor]) -> float:
        rate = self._recipe.rate_at(self._step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        loss, flow = self._loss(batch)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, self._recipe.gradient_clip)
        self._optimizer.step()
        self._step += 1
        # Early on the average follows quickly, or it would keep the random start for long.
        decay = min(self._recipe.average_decay, self._step / (self._step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(self._average, self._parameters, 1 - decay)
        return flow.item()

    def _loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        recipe = self._recipe
        features, patches = look(self._policy, batch["pictures"])
        maps = map_loss(self._heads.maps, patches, batch["marks"])
        if self._step < recipe.vision_steps:
            return maps, maps
        flow, landmarks, looking = training_loss(
            self._policy, self._heads.landmarks, features, batch, recipe.draws, recipe.insulated
        )
        taught = recipe.landmark_weight * landmarks + recipe.map_weight * (maps + looking)
        return flow + taught, flow

    def _put(self, values: list[Tensor]) -> None:
        with torch.no_grad():
            for parameter, value in zip(self._parameters, values, strict=True):
                parameter.copy_(value)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `vla-sae train-policy`."""
    defaults = Recipe()
    parser.add_argument(
        "--demos",
        type=Path,
        action="append",
        required=True,
        help="folder of demonstrations; repeatable",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="output folder; an interrupted training in it is resumed",
    )
    parser.add_argument("--start-from", type=Path, help="policy folder to start from")
    parser.add_argument("--held-out", type=Path, help="folder of stills to measure progress on")
    parser.add_argument(
        "--vision-steps",
        type=int,
        default=defaults.vision_steps,
        help="first train only where objects appear in the pictures",
    )
    parser.add_argument(
        "--frames", type=int, default=defaults.frames, help="instructions per still and step"
    )
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--batch-size", type=int, default=defaults.batch_size)
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument(
        "--draws", type=int, default=defaults.draws, help="noise draws per instruction and step"
    )
    parser.add_argument(
        "--checkpoint-every", type=int, default=defaults.checkpoint_every, metavar="STEPS"
    )
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument(
        "--insulate-backbone",
        action="store_true",
        help="no gradient of the action loss in the backbone (knowledge insulation)",
    )
    parser.add_argument(
        "--matmul",
        choices=("highest", "medium"),
        default="highest",
        help="medium multiplies matrices in bfloat16 where the processor can: "
        "a third less time per step",
    )


def run(args: argparse.Namespace) -> int:
    """Train and say where the policy is."""
    recipe = Recipe(
        steps=args.steps,
        batch_size=args.batch_size,
        frames=args.frames,
        vision_steps=args.vision_steps,
        learning_rate=args.learning_rate,
        draws=args.draws,
        insulated=args.insulate_backbone,
        checkpoint_every=args.checkpoint_every,
        seed=args.seed,
    )
    torch.set_float32_matmul_precision(args.matmul)
    data = load_training_set(args.demos, TinySize().chunk)
    print(
        f"{len(data.pictures)} pictures, {len(data)} frames, {len(data.instructions)} instructions"
    )
    held_out = None
    if args.held_out:
        held_out = load_training_set([args.held_out], TinySize().chunk, data.instructions)
    pictures = common_record([*args.demos, *([args.held_out] if args.held_out else [])])
    print(f"pictures: {pictures or 'nothing is known about how they were drawn'}")
    trainer = Trainer(data, args.out, recipe, args.start_from, held_out=held_out, pictures=pictures)
    if trainer.step >= recipe.steps:
        print(
            f"{args.out} was trained for {trainer.step} steps already, and --steps asks for "
            f"{recipe.steps}: nothing was done. Ask for more, or name another --out."
        )
        return 0
    loss = trainer.train()
    print(f"flow loss {loss:.4f}; policy in {args.out / POLICY_FOLDER}")
    return 0
