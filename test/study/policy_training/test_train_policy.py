"""Training: the loss, the data and a few steps on a tiny synthetic set."""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.picture_record import PictureRecord, read_picture_record
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny.tiny_smolvla import TinySize, build_tiny_smolvla, write_vlm_folder
from vla_sae_ros.sim.suites import suite_names, suite_tasks
from vla_sae_ros.study.demonstrations.files import Episode
from vla_sae_ros.study.policy_training import train_policy
from vla_sae_ros.study.policy_training.flow_matching import (
    LandmarkHead,
    training_loss,
    use_fused_attention,
)
from vla_sae_ros.study.policy_training.object_maps import look
from vla_sae_ros.study.policy_training.policy_recipe import Recipe
from vla_sae_ros.study.policy_training.train_policy import Trainer
from vla_sae_ros.study.policy_training.training_set import (
    KINDS,
    TrainingSet,
    episode_frames,
    statistics_of,
)
from vla_sae_ros.study.policy_training.wordings import TEMPLATES, wordings

SMALL = TinySize(
    image_size=32,
    patch_size=8,
    vision_width=16,
    vision_layers=1,
    text_width=16,
    text_layers=2,
    heads=2,
    mlp_width=16,
    vocabulary=300,
)
INSTRUCTIONS = ("bring the milk", "pick up the butter and place it in the basket")


def training_set(frames: int = 12) -> TrainingSet:
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(frames, 8, generator=generator)
    return TrainingSet(
        pictures=torch.randint(0, 255, (frames, 2, 3, 32, 32), generator=generator).byte(),
        marks=torch.rand(frames, 2, len(KINDS), 2, generator=generator),
        picture=torch.arange(frames),
        states=states,
        chunks=torch.tanh(states[:, None, :7].expand(-1, 10, -1)).contiguous(),
        valid=torch.ones(frames, 10, dtype=torch.bool),
        landmarks=states[:, :6].clone(),
        target=torch.arange(frames) % 2,
        instruction=torch.arange(frames) % 2,
        instructions=INSTRUCTIONS,
    )


def recipe(**changes) -> Recipe:
    small = {"steps": 6, "batch_size": 4, "warmup_steps": 2, "checkpoint_every": 3}
    return Recipe(**(small | changes))


@pytest.fixture(autouse=True)
def few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tokenizer sees two sentences instead of all of LIBERO's."""
    monkeypatch.setattr("vla_sae_ros.study.policy_training.training_start._all_instructions", list)


def small_batch(generator: torch.Generator) -> dict[str, torch.Tensor]:
    return {
        "picture": torch.arange(3),
        "tokens": torch.randint(8, 200, (3, 5), generator=generator),
        "token_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]]).bool(),
        "state": torch.randn(3, 8, generator=generator),
        "actions": torch.randn(3, 10, 7, generator=generator),
        "valid": torch.rand(3, 10, generator=generator) > 0.3,
        "landmarks": torch.zeros(3, 6),
        "target_marks": torch.full((3, 2, 1, 2), torch.nan),
    }


def test_the_loss_with_one_draw_is_lerobot_s_own(tmp_path: Path) -> None:
    write_vlm_folder(tmp_path, INSTRUCTIONS, SMALL)
    policy = build_tiny_smolvla(tmp_path, SMALL)
    generator = torch.Generator().manual_seed(2)
    pictures = torch.rand(3, 2, 3, 32, 32, generator=generator)
    batch = small_batch(generator)
    torch.manual_seed(0)
    noise, time = torch.randn(3, 10, 7), policy.model.sample_time(3, "cpu")
    theirs, _ = policy.forward(
        {
            "observation.images.agentview": pictures[:, 0],
            "observation.images.wrist": pictures[:, 1],
            "observation.state": batch["state"],
            "observation.language.tokens": batch["tokens"],
            "observation.language.attention_mask": batch["token_mask"],
            "action": batch["actions"],
            "action_is_pad": ~batch["valid"],
        },
        noise=noise,
        time=time,
    )
    head = LandmarkHead(16)

    def ours() -> torch.Tensor:
        torch.manual_seed(0)
        features, _ = look(policy, pictures * 2 - 1)
        return training_loss(policy, head, features, batch, draws=1)[0]

    torch.testing.assert_close(ours(), theirs, rtol=1e-5, atol=1e-6)
    use_fused_attention(policy)
    torch.testing.assert_close(ours(), theirs, rtol=1e-4, atol=1e-5)


def test_an_insulated_backbone_learns_nothing_from_the_actions(tmp_path: Path) -> None:
    write_vlm_folder(tmp_path, INSTRUCTIONS, SMALL)
    policy = build_tiny_smolvla(tmp_path, SMALL)
    policy.requires_grad_(True)
    generator = torch.Generator().manual_seed(2)
    pictures = torch.rand(3, 2, 3, 32, 32, generator=generator)
    batch = small_batch(generator)

    def taught(insulated: bool) -> tuple[float, set[str]]:
        torch.manual_seed(0)
        policy.zero_grad()
        features, _ = look(policy, pictures * 2 - 1)
        flow, _, _ = training_loss(
            policy, LandmarkHead(16), features, batch, draws=2, insulated=insulated
        )
        flow.backward()
        return flow.item(), {
            name
            for name, value in policy.named_parameters()
            if value.grad is not None and value.grad.any()
        }

    (loss, every), (insulated_loss, some) = taught(False), taught(True)
    backbone = {name for name in every if ".vlm." in name or ".state_proj." in name}
    assert insulated_loss == loss
    assert backbone and some == every - backbone


def test_the_first_steps_train_only_the_vision(tmp_path: Path) -> None:
    trainer = Trainer(training_set(), tmp_path, recipe(steps=2, vision_steps=2), size=SMALL)
    before = {name: value.clone() for name, value in trainer._policy.named_parameters()}
    trainer.train()
    moved = [
        name
        for name, value in trainer._policy.named_parameters()
        if not torch.equal(value, before[name])
    ]
    assert moved and all("vision_model" in name for name in moved)


def test_frames_of_one_picture_are_its_first_and_others(tmp_path: Path) -> None:
    data = training_set(7)
    data = replace(
        data,
        pictures=data.pictures[:3],
        marks=data.marks[:3],
        picture=torch.tensor([0, 0, 0, 1, 2, 2, 2]),
    )
    trainer = Trainer(data, tmp_path, recipe(frames=2), size=SMALL)
    seen = set()
    for _ in range(30):
        batch = trainer._make_batch(torch.tensor([2, 1]))
        states = batch["state"] * trainer._stats.state_std + trainer._stats.state_mean
        rows = [int((data.states - state).abs().sum(1).argmin()) for state in states]
        assert rows[:2] == [4, 3] and batch["picture"].tolist() == [0, 1, 0]
        seen.add(rows[2])
    assert seen == {5, 6}


def test_progress_on_held_out_data_is_written_at_every_checkpoint(tmp_path: Path) -> None:
    Trainer(training_set(), tmp_path, recipe(), size=SMALL, held_out=training_set(5)).train()
    lines = [json.loads(line) for line in (tmp_path / "progress.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6]
    assert all(line["target_cm"] > 0 and 0 <= line["found"] <= 1 for line in lines)


def test_the_policy_s_folder_says_how_its_pictures_were_drawn(tmp_path: Path) -> None:
    record = PictureRecord("full", "3.3.0")
    Trainer(training_set(), tmp_path, recipe(steps=1), size=SMALL, pictures=record).train()
    assert read_picture_record(tmp_path / "policy") == record


def test_words_are_added_and_the_earlier_policy_s_weights_are_kept(tmp_path: Path) -> None:
    data = training_set()
    Trainer(data, tmp_path / "a", recipe(steps=2), size=SMALL).train()
    start = tmp_path / "a" / "policy"
    earlier = load_policy(start).policy.state_dict()
    more = replace(
        data, instructions=(INSTRUCTIONS[0], "pick up the zwieback and place it in the basket")
    )
    trainer = Trainer(more, tmp_path / "b", recipe(steps=1), start_from=start)
    tokens = AutoTokenizer.from_pretrained(tmp_path / "b" / "vlm")
    assert len(tokens.tokenize("pick up the zwieback")) == len(tokens.tokenize("pick up the milk"))
    for name, value in trainer._policy.state_dict().items():
        torch.testing.assert_close(value[: len(earlier[name])], earlier[name])
    trainer.train()
    again = Trainer(more, tmp_path / "b", recipe(steps=2), start_from=start)
    assert again._step == 1 and len(AutoTokenizer.from_pretrained(tmp_path / "b" / "vlm")) == len(
        tokens
    )
    assert load_policy(tmp_path / "b" / "policy").policy_id


def test_instructions_are_said_in_other_words_in_their_share_of_the_frames(tmp_path: Path) -> None:
    trainer = Trainer(training_set(), tmp_path, recipe(reworded=0.5), size=SMALL)
    plain = {tuple(row) for row in trainer._tokens[trainer._first_wording].tolist()}
    batches = [trainer._make_batch(torch.arange(12)) for _ in range(40)]
    said = [tuple(row) for batch in batches for row in batch["tokens"].tolist()]
    share = sum(tokens not in plain for tokens in said) / len(said)
    assert 0.2 < share < 0.3  # one of the two instructions has no other words
    assert len(set(said)) == 2 + len(TEMPLATES)


def test_no_instruction_of_libero_pro_s_reworded_suites_is_trained_on() -> None:
    for suite in (name for name in suite_names() if name.endswith("_lan")):
        reworded = {task.instruction.lower() for task in suite_tasks(suite)}
        plain = {
            text for task in suite_tasks("libero_object") for text in wordings(task.instruction)[1:]
        }
        assert not plain & reworded


def test_every_parameter_but_the_unused_ones_learns(tmp_path: Path) -> None:
    trainer = Trainer(training_set(), tmp_path, recipe(steps=1), size=SMALL)
    before = {name: value.clone() for name, value in trainer._policy.named_parameters()}
    trainer.train()
    still = [n for n, value in trainer._policy.named_parameters() if torch.equal(value, before[n])]
    assert [name for name in still if "lm_head" not in name] == []


def test_training_lowers_the_loss_and_saves_a_policy_that_loads(tmp_path: Path) -> None:
    first = Trainer(training_set(), tmp_path / "a", recipe(steps=2), size=SMALL).train()
    last = Trainer(
        training_set(),
        tmp_path / "a",
        recipe(steps=150, warmup_steps=5, learning_rate=3e-3, checkpoint_every=150),
        size=SMALL,
    ).train()
    assert last < 0.8 * first
    loaded = load_policy(tmp_path / "a" / "policy")
    stats = statistics_of(training_set())
    batch = loaded.preprocessor(
        {
            "observation.images.agentview": torch.zeros(3, 32, 32),
            "observation.images.wrist": torch.zeros(3, 32, 32),
            "observation.state": stats.state_mean + stats.state_std,
            "task": INSTRUCTIONS[0],
        }
    )
    torch.testing.assert_close(batch["observation.state"], torch.ones(1, 8))


def test_an_interrupted_run_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    interrupted = Trainer(training_set(), tmp_path / "parts", recipe(), size=SMALL)
    batches = interrupted._batches()
    for _ in range(3):
        interrupted._update(interrupted._make_batch(next(batches)))
    interrupted.save()
    resumed = Trainer(training_set(), tmp_path / "parts", recipe(), size=SMALL)
    assert resumed._step == 3
    resumed.train()
    assert resumed._step == 6
    assert (tmp_path / "parts" / "policy" / "model.safetensors").is_file()


def test_training_can_go_on_from_a_saved_policy_with_its_normalisation(tmp_path: Path) -> None:
    Trainer(training_set(), tmp_path / "a", recipe(), size=SMALL).train()
    other = training_set(24)
    go_on = Trainer(other, tmp_path / "b", recipe(steps=1), tmp_path / "a" / "policy", SMALL)
    torch.testing.assert_close(go_on._stats.state_mean, statistics_of(training_set()).state_mean)
    go_on.train()
    load_policy(tmp_path / "b" / "policy")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, 0) for name in ("steps", "batch_size", "frames", "draws", "checkpoint_every")),
        ("vision_steps", -1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
    ],
)
def test_a_recipe_with_which_nothing_is_trained_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=name.replace("_", " ")):
        recipe(**{name: value})


def test_vision_steps_without_stills_are_refused(tmp_path: Path) -> None:
    data = training_set()
    unknown = replace(data, marks=torch.full_like(data.marks, torch.nan))
    with pytest.raises(ConfigurationError, match="--stills"):
        Trainer(unknown, tmp_path, recipe(vision_steps=2), size=SMALL)


def test_a_training_that_cannot_be_resumed_is_refused_in_a_sentence(tmp_path: Path) -> None:
    Trainer(training_set(), tmp_path / "a", recipe(steps=1), size=SMALL).train()
    (tmp_path / "b").mkdir()
    state = Path(shutil.copy(tmp_path / "a" / "training_state.pt", tmp_path / "b"))
    with pytest.raises(ConfigurationError, match="of another policy"):
        Trainer(training_set(), tmp_path / "b", recipe(), size=replace(SMALL, text_layers=3))
    state.write_bytes(state.read_bytes()[:-500])
    with pytest.raises(ConfigurationError, match="cannot be resumed"):
        Trainer(training_set(), tmp_path / "b", recipe(), size=SMALL)


def test_a_policy_of_other_sizes_is_not_continued(tmp_path: Path) -> None:
    Trainer(training_set(), tmp_path / "a", recipe(steps=1), size=SMALL).train()
    data = training_set()
    longer = replace(data, chunks=data.chunks.repeat(1, 2, 1), valid=data.valid.repeat(1, 2))
    with pytest.raises(ConfigurationError, match="chunk_size"):
        Trainer(longer, tmp_path / "b", recipe(), tmp_path / "a" / "policy", SMALL)


def test_a_training_that_has_its_steps_says_so_and_names_no_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train_policy, "load_training_set", lambda *_: training_set())
    monkeypatch.setattr(train_policy, "Trainer", partial(Trainer, size=SMALL))
    parser = argparse.ArgumentParser()
    train_policy.add_arguments(parser)
    options = ["--demos", str(tmp_path), "--out", str(tmp_path / "out"), "--steps", "1"]
    args = parser.parse_args([*options, "--batch-size", "2"])
    assert train_policy.run(args) == 0 and "flow loss" in capsys.readouterr().out
    assert train_policy.run(args) == 0
    said = capsys.readouterr().out
    assert "for 1 steps already" in said and "flow loss" not in said


def test_labels_after_a_push_are_not_taught() -> None:
    steps = 20
    pushed = np.zeros(steps, bool)
    pushed[[6, 7]] = True
    labels = np.arange(steps, dtype=np.float32)[:, None].repeat(7, 1)
    frames = episode_frames(
        Episode(
            np.zeros((4, 2, 4, 4, 3), np.uint8),
            np.array([0, 5, 7, 15], np.int32),
            np.zeros((steps, 8), np.float32),
            labels,
            labels,
            pushed,
            np.zeros((steps, 6), np.float32),
        ),
        chunk=10,
    )
    expected = [
        [True] * 7 + [False] * 3,  # the push starts at step 6: what follows answers it
        [True, True] + [False] * 8,
        [True] + [False] * 9,
        [True] * 5 + [False] * 5,  # the episode ends
    ]
    np.testing.assert_array_equal(frames["valid"], expected)
    np.testing.assert_array_equal(frames["chunks"][0, :, 0], np.arange(10))
    np.testing.assert_array_equal(frames["chunks"][3, :, 0], [15, 16, 17, 18, 19] + [19] * 5)


def test_the_learning_rate_warms_up_and_falls_to_its_final_share() -> None:
    plan = Recipe(steps=1000, warmup_steps=100, learning_rate=1.0, final_rate_share=0.02)
    rates = [plan.rate_at(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01) and max(rates) == pytest.approx(1.0)
    assert rates[99:] == sorted(rates[99:], reverse=True)
    assert rates[-1] == pytest.approx(0.02, abs=1e-3)


def test_an_instruction_is_taught_where_what_it_asks_for_appears(tmp_path: Path) -> None:
    data = training_set()
    trainer = Trainer(data, tmp_path, recipe(), size=SMALL)
    batch = trainer._make_batch(torch.tensor([5, 2]))
    expected = torch.stack([data.marks[5, :, 1], data.marks[2, :, 0]])
    torch.testing.assert_close(batch["target_marks"][:, :, 0], expected)
    trainer._policy.zero_grad()
    features, _ = look(trainer._policy, batch["pictures"])
    training_loss(trainer._policy, LandmarkHead(16), features, batch, draws=1)[2].backward()
    words = trainer._policy.model.vlm_with_expert.get_vlm_model().text_model.embed_tokens
    assert words.weight.grad is not None and words.weight.grad.abs().sum() > 0
