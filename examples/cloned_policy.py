"""Clone a scripted teacher into a small SmolVLA, in an environment that is not LIBERO.

    python examples/cloned_policy.py out/drawer --env metaworld --suite drawer-close-v3
    python examples/cloned_policy.py out/so101 \
        --env so101:image_obs=true,random_block_position=true,action_scale=0.025

The teachers are the packages' own: Meta-World's scripted policies, and lerobot_env_so101's
reach-and-close. They see where things are; the policy sees the picture and the robot's state. You
see the training loss, and then how far the cloned policy's next action is from the teacher's, in
scenes that it was not trained on, beside the same policy before its training.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from lerobot.policies.smolvla.modeling_smolvla import resize_with_pad

from vla_sae_ros.policy.checkpoints.checkpoint import save_checkpoint
from vla_sae_ros.policy.checkpoints.checkpoint_files import VLM_FOLDER
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny.tiny_smolvla import TinySize
from vla_sae_ros.policy.tiny.untrained import write_random_policy
from vla_sae_ros.sim.environment import TaskSpec
from vla_sae_ros.sim.lerobot_envs.benchmark import LerobotBenchmark
from vla_sae_ros.sim.lerobot_envs.config import config_of, parse_name
from vla_sae_ros.sim.lerobot_envs.environment import make_all
from vla_sae_ros.sim.lerobot_envs.frames import Frame, Processors, batch_of_one

SIZE = TinySize(
    image_size=64,
    patch_size=8,
    vision_width=64,
    vision_layers=2,
    text_width=64,
    text_layers=3,
    heads=4,
    mlp_width=128,
    denoising_steps=4,
    vocabulary=300,
)
BATCH, LEARNING_RATE = 32, 1e-3
AFTERWARDS = 5
"""Steps that a demonstration goes on when the teacher is done."""
FIRST_TEST_SEED = 1_000_000
DEMONSTRATIONS = "demonstrations.pt"
"""They are used again where the folder has them."""


class Lesson(Protocol):
    """An environment with its teacher. `look` draws, which is slow; nothing else does."""

    bounds: tuple[np.ndarray, np.ndarray]
    """(A,) lowest and highest actions."""

    def begin(self, seed: int) -> None: ...

    def teach(self) -> np.ndarray:
        """Return what the teacher does now, (A,)."""
        ...

    def act(self, action: np.ndarray) -> None: ...

    def look(self) -> dict[str, Any]:
        """Return what the environment shows."""
        ...

    def over(self) -> bool:
        """Whether the teacher has done what it can."""
        ...


class MetaWorldLesson:
    """`env` is lerobot's MetaworldEnv."""

    def __init__(self, env: Any) -> None:
        self._env = env
        self.bounds = env.action_space.low, env.action_space.high

    def begin(self, seed: int) -> None:
        self._env.reset(seed=seed)
        self._raw, self._success = self._env._env._get_obs(), False

    def teach(self) -> np.ndarray:
        return np.clip(self._env.expert_policy.get_action(self._raw), -1, 1)

    def act(self, action: np.ndarray) -> None:
        self._raw, _, _, _, info = self._env._env.step(action)
        self._success = bool(info["success"])

    def look(self) -> dict[str, Any]:
        return self._env._format_raw_obs(self._raw)

    def over(self) -> bool:
        return self._success


class SO101Lesson:
    """`env` is lerobot_env_so101's SO101PickCubeGymEnv. Its teacher reaches and closes, no more."""

    def __init__(self, env: Any) -> None:
        from lerobot_env_so101 import scripted

        self._env, self._scripted = env, scripted
        self.bounds = env.action_space.low, env.action_space.high

    def begin(self, seed: int) -> None:
        self._env.reset(seed=seed)

    def teach(self) -> np.ndarray:
        return self._scripted.scripted_reach_close(self._everything(), self._env._action_scale)

    def act(self, action: np.ndarray) -> None:
        self._env.apply_action(action)

    def look(self) -> dict[str, Any]:
        return self._env._compute_observation()

    def over(self) -> bool:
        return self._scripted.is_reach_close_success(self._everything())

    def _everything(self) -> np.ndarray:
        block = self._env.data.sensor("block_pos").data
        return np.concatenate([self._env.get_robot_state(), block])


LESSONS = {"metaworld": MetaWorldLesson, "so101": SO101Lesson}


@dataclass
class Demonstrations:
    """Of N frames."""

    pictures: dict[str, torch.Tensor]
    """(N, 3, SIZE.image_size, SIZE.image_size) float32 in [0, 1]."""
    states: torch.Tensor
    """(N, n)."""
    actions: torch.Tensor
    """(N, H, A), what the teacher would do in each of the next steps."""
    padded: torch.Tensor
    """(N, H) bool: the episode was over by then."""

    def batch(self, rows: torch.Tensor, instruction: str) -> dict[str, Any]:
        """Return rows as lerobot's preprocessor takes them."""
        return {
            **{key: pictures[rows] for key, pictures in self.pictures.items()},
            "observation.state": self.states[rows],
            "action": self.actions[rows],
            "action_is_pad": self.padded[rows],
            "task": [instruction] * len(rows),
        }


def demonstrations(
    lesson: Lesson, processors: Processors, episodes: int, steps: int, every: int
) -> Demonstrations:
    """Let the teacher play; its hand is pushed about, so that it shows how to come back."""
    low, high = lesson.bounds
    frames: list[Frame] = []
    chunks, padded = [], []
    for seed in range(episodes):
        draw = np.random.default_rng(seed)
        lesson.begin(seed)
        seen: dict[int, Frame] = {}
        taught: list[np.ndarray] = []
        over_at = steps
        for step in range(steps):
            if step % every == 0:
                seen[step] = small(processors.frame(batch_of_one(lesson.look()), ""))
            taught.append(np.asarray(lesson.teach(), np.float32))
            if lesson.over():
                over_at = min(over_at, step + AFTERWARDS)
            if step >= over_at:
                break
            push = draw.normal(0, 0.3, len(taught[-1])) * (draw.random() < 0.5)
            lesson.act(np.clip(taught[-1] + push, low, high).astype(np.float32))
        for step, frame in seen.items():
            chunk = taught[step : step + SIZE.chunk]
            missing = SIZE.chunk - len(chunk)
            frames.append(frame)
            chunks.append(np.stack(chunk + [chunk[-1]] * missing))
            padded.append([False] * len(chunk) + [True] * missing)
        print(f"demonstration {seed}: {len(taught)} steps, {len(seen)} pictures", flush=True)
    keys = [key for key, value in frames[0].items() if value.ndim == 3]
    return Demonstrations(
        {key: torch.from_numpy(np.stack([frame[key] for frame in frames])) for key in keys},
        torch.from_numpy(np.stack([frame["observation.state"] for frame in frames])),
        torch.from_numpy(np.stack(chunks)),
        torch.tensor(padded),
    )


def small(frame: Frame) -> Frame:
    """Return the frame with pictures as the policy makes them smaller: (3, h, w) in [0, 1]."""
    shrunk: Frame = {}
    for key, value in frame.items():
        if value.ndim == 3:
            picture = torch.from_numpy(value).permute(2, 0, 1)[None].float() / 255
            value = resize_with_pad(picture, SIZE.image_size, SIZE.image_size, pad_value=0)[0]
            value = value.numpy()
        shrunk[key] = value
    return shrunk


def train(loaded: LoadedPolicy, shown: Demonstrations, instruction: str, steps: int) -> None:
    """Train with lerobot's own loss."""
    policy: Any = loaded.policy.train().requires_grad_(True)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    mean = 0.0
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / 50) * (1 - 0.95 * step / steps)
        rows = torch.randint(len(shown.states), (BATCH,))
        loss, _ = policy.forward(loaded.preprocessor(shown.batch(rows, instruction)))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
        mean = 0.98 * mean + 0.02 * loss.item() if step else loss.item()
        if step % 100 == 99:
            print(f"step {step + 1} of {steps}: loss {mean:.4f}", flush=True)
    policy.eval()


def error(loaded: LoadedPolicy, shown: list[tuple[Frame, np.ndarray]], instruction: str) -> float:
    """Return the mean absolute difference of the next action from the teacher's."""
    engine = PolicyEngine(loaded)
    differences = [
        np.abs(engine.infer_from(frame, instruction, engine.noise((0, number))).actions[0] - told)
        for number, (frame, told) in enumerate(shown)
    ]
    engine.close()
    return float(np.mean(differences))


def unseen(
    lesson: Lesson, processors: Processors, episodes: int, steps: int
) -> list[tuple[Frame, np.ndarray]]:
    """Return whole frames of scenes that were not trained on, with what the teacher does there."""
    shown = []
    for seed in range(FIRST_TEST_SEED, FIRST_TEST_SEED + episodes):
        lesson.begin(seed)
        for step in range(steps):
            action = np.asarray(lesson.teach(), np.float32)
            if step % 5 == 0:
                shown.append((processors.frame(batch_of_one(lesson.look()), ""), action))
            if lesson.over():
                break
            lesson.act(action)
    return shown


def statistics(shown: Demonstrations) -> dict[str, dict[str, torch.Tensor]]:
    """Return what policies are normalised by; what does not vary is left as it is."""
    values = {"observation.state": shown.states, "action": shown.actions[~shown.padded]}
    return {
        key: {"mean": value.mean(0), "std": value.std(0, correction=0).clamp(min=1e-2)}
        for key, value in values.items()
    }


def main() -> None:
    """Show, train, save, and say how it went."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="its policy/ is made")
    parser.add_argument("--env", required=True)
    parser.add_argument("--suite", default="")
    parser.add_argument("--episodes", type=int, default=30, help="demonstrations")
    parser.add_argument("--every", type=int, default=1, help="steps between two pictures")
    parser.add_argument("--steps", type=int, default=1500, help="of training")
    given = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    benchmark = LerobotBenchmark(given.env)
    task: TaskSpec = benchmark.tasks(given.suite)[0]
    name = parse_name(given.env).of_suite(given.suite)
    instruction = task.instruction or task.name
    environment = make_all(name)[task.task_index]
    lesson: Lesson = LESSONS[name.kind](environment.envs[0].unwrapped)
    processors = Processors(config_of(name))
    given.folder.mkdir(parents=True, exist_ok=True)
    drawn = given.folder / DEMONSTRATIONS
    if not drawn.is_file():  # drawing takes longest
        shown = demonstrations(lesson, processors, given.episodes, task.max_steps, given.every)
        torch.save(vars(shown), drawn)
    shown = Demonstrations(**torch.load(drawn, weights_only=True))
    policy, stats = given.folder / "policy", statistics(shown)
    write_random_policy(policy, benchmark.facts(given.suite).shapes, stats, [instruction], SIZE)
    loaded = load_policy(policy)
    others = unseen(lesson, processors, 3, task.max_steps)
    before = error(loaded, others, instruction)
    train(loaded, shown, instruction, given.steps)
    save_checkpoint(loaded.policy, stats, policy / VLM_FOLDER, policy)  # type: ignore[arg-type]
    after = error(load_policy(policy), others, instruction)
    environment.close()
    print(
        f"in {len(others)} looks at scenes that it was not trained on, the mean difference from "
        f"the teacher's next action is {after:.3f}; before its training it was {before:.3f}"
    )
    print(policy)


if __name__ == "__main__":
    main()
