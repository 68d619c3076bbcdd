"""From collected activations to a bundle, with a planted gripper feature."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from patience import WORK

from vla_sae_ros.activations.format import CollectedSite, Collection
from vla_sae_ros.activations.writer import ActivationWriter
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sae.training.checkpoint import Checkpoint
from vla_sae_ros.sae.training.training import Trainer
from vla_sae_ros.study.autoencoders import train_sae
from vla_sae_ros.study.autoencoders.training_log import read_curve

WIDTH = 16
SITES = {
    "backbone.1": CollectedSite(WIDTH, "mean", ("camera",)),
    "expert.0": CollectedSite(WIDTH, "token", ("action",)),
}


def collect(
    folder: Path, sites: dict[str, CollectedSite], objects: Sequence[str] = ("soup",)
) -> None:
    """Thirty episodes in which a direction is there exactly while the gripper is closed."""
    random = np.random.default_rng(0)
    directions = random.standard_normal((12, WIDTH))
    mean = random.standard_normal(WIDTH) * 20
    with ActivationWriter(folder, Collection("0123abcd", "tiny", sites, 20.0)) as writer:
        for number in range(30):
            close_at = random.integers(10, 40)
            for step in range(0, 50, 2):
                closed = step >= close_at
                code = random.uniform(0, 1, 12) * (random.random(12) < 0.15)
                code[0] = 2.0 * closed
                state = np.zeros(8)
                state[:3] = random.standard_normal(3)
                state[6:] = (0.0, 0.0) if closed else (0.04, -0.04)
                context = {
                    "episode_id": f"e{number}",
                    "step": step,
                    "task": "libero_object 0",
                    "instruction": f"pick up the {objects[number % len(objects)]}",
                    "state": state,
                    "residual_norm": 90.0,
                }
                x = mean + code @ directions
                for site, read in sites.items():
                    writer(site, x if read.pooling == "mean" else np.stack([x, x]), context)
            writer.end_episode(success=True)


def run(folder: Path, out: Path, *more: str) -> int:
    parser = argparse.ArgumentParser()
    train_sae.add_arguments(parser)
    given = ["--dictionary-size", "24", "--k", "4", "--batch-size", "64", "--epochs", "15"]
    return train_sae.run(parser.parse_args([str(folder), "--out", str(out), *given, *more]))


@pytest.mark.parametrize("site", sorted(SITES))
def test_a_collected_folder_becomes_a_bundle_in_one_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], site: str
) -> None:
    collect(tmp_path / "activations", {site: SITES[site]})
    given = ["--held-out", "0.3", "--dead-after", "70"]
    assert run(tmp_path / "activations", tmp_path / "bundle", *given) == 0
    bundle = SaeBundle.load(tmp_path / "bundle")
    assert bundle.card.data["training"]["dead_after_steps"] == 70
    bundle.check_fits("0123abcd", site, WIDTH)
    card = bundle.card
    assert (card.pooling, card.token_groups) == (SITES[site].pooling, SITES[site].token_groups)
    assert card.mean_residual_norm == pytest.approx(90.0)
    assert card.data["training_episodes"] == 21 and len(card.data["held_out_episodes"]) == 9
    assert set(card.metrics) >= {"fvu", "l0", "dead_share", "fvu_training"}
    assert 0 < card.metrics["fvu"] < 0.5 and 0 < card.metrics["l0"] <= 4
    named = [one for one in bundle.catalogue.entries if one.label == "gripper closed"]
    assert named and named[0].observed_max > 0 and named[0].coverage == pytest.approx(1.0)
    assert len(bundle.catalogue) == 24
    printed = capsys.readouterr().out
    assert "held-out FVU" in printed and "gripper closed" in printed


def test_the_fvu_of_every_held_out_instruction_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    collect(tmp_path / "activations", {"backbone.1": SITES["backbone.1"]}, ("soup", "butter"))
    assert run(tmp_path / "activations", tmp_path / "bundle", "--held-out", "0.3") == 0
    printed = capsys.readouterr().out
    by_task = SaeBundle.load(tmp_path / "bundle").card.data["fvu_by_task"]
    assert set(by_task) == {"pick up the soup", "pick up the butter"}
    for task, fvu in by_task.items():
        assert f"FVU {fvu:.4f}  {task}" in printed


def test_the_site_has_to_be_named_when_there_are_several(tmp_path: Path) -> None:
    collect(tmp_path / "activations", SITES)
    with pytest.raises(ConfigurationError, match=r"--site.*backbone\.1.*expert\.0"):
        run(tmp_path / "activations", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_an_existing_bundle_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    with pytest.raises(ConfigurationError, match="exists already"):
        run(tmp_path / "no activations", tmp_path / "bundle")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--dictionary-size", "0"), "dictionary_size: got 0"),
        (("--seed", "-1"), "seed: got -1"),
        (("--device", "abacus"), "device: got 'abacus'"),
        (("--device", "cuda:99"), "device: got 'cuda:99'"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    tmp_path: Path, more: tuple[str, ...], words: str
) -> None:
    collect(tmp_path / "activations", {"backbone.1": SITES["backbone.1"]})
    with pytest.raises(ConfigurationError, match=words):
        run(tmp_path / "activations", tmp_path / "bundle", *more)
    assert [path.name for path in tmp_path.iterdir()] == ["activations"]


def test_a_run_leaves_its_curve_a_picture_and_no_checkpoint(tmp_path: Path) -> None:
    collect(tmp_path / "activations", {"backbone.1": SITES["backbone.1"]})
    assert run(tmp_path / "activations", tmp_path / "bundle", "--kind", "batchtopk") == 0
    folder = tmp_path / "bundle-run"
    assert not (folder / "checkpoint.safetensors").exists()
    assert (folder / "training.png").read_bytes().startswith(b"\x89PNG")
    steps = [line["step"] for line in read_curve(folder)]
    assert steps[:3] == [0, 20, 40]
    assert list(folder.glob("events.out.tfevents.*"))
    card = SaeBundle.load(tmp_path / "bundle").card
    assert list(card.data["fvu_by_task"]) == ["pick up the soup"]
    assert card.data["training"]["kind"] == "batchtopk"


def test_a_run_that_was_killed_goes_on_and_its_curve_has_every_step_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(tmp_path / "activations", {"backbone.1": SITES["backbone.1"]})
    run(tmp_path / "activations", tmp_path / "whole")

    class Killed(Exception):
        pass

    saved = Checkpoint.save_if_due

    def save_and_die(self: Checkpoint, trainer: Trainer) -> None:
        if trainer.step_number == 50:
            self.save(trainer)
        if trainer.step_number == 70:
            raise Killed

    monkeypatch.setattr(Checkpoint, "save_if_due", save_and_die)
    with pytest.raises(Killed):
        run(tmp_path / "activations", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    monkeypatch.setattr(Checkpoint, "save_if_due", saved)
    run(tmp_path / "activations", tmp_path / "bundle")
    assert read_curve(tmp_path / "bundle-run") == read_curve(tmp_path / "whole-run")
    weights = [SaeBundle.load(tmp_path / name).sae.W_dec for name in ("whole", "bundle")]
    assert torch.equal(*weights)


def test_training_goes_on_from_another_policys_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    collect(tmp_path / "activations", {"backbone.1": SITES["backbone.1"]})
    run(tmp_path / "activations", tmp_path / "first", "--normalization", "none")
    start = SaeBundle.load(tmp_path / "first")
    capsys.readouterr()
    parser = argparse.ArgumentParser()
    train_sae.add_arguments(parser)
    given = ["--out", str(tmp_path / "second"), "--start-from", str(tmp_path / "first")]
    more = ["--epochs", "1", "--batch-size", "64", "--seed", "7"]
    arguments = parser.parse_args([str(tmp_path / "activations"), *given, *more])
    assert train_sae.run(arguments) == 0
    bundle = SaeBundle.load(tmp_path / "second")
    for name in ("dictionary_size", "k", "normalization"):
        assert getattr(bundle.card, name) == getattr(start.card, name)
    cosine = torch.cosine_similarity(bundle.sae.W_dec, start.sae.W_dec, dim=1)
    assert 0.9 < cosine.median() < 1.0
    assert bundle.card.data["started_from"] == {
        "sae": start.bundle_id,
        "policy_id": "0123abcd",
        "rows_kept": int((cosine >= 0.9).sum()),
        "median_cosine": pytest.approx(float(cosine.median())),
    }
    assert f"started from SAE {start.bundle_id}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--k", "5"), r"k with --start-from .*: got 5"),
        (("--kind", "relu"), r"kind with --start-from .*: got 'relu'"),
        (("--site", "expert.0"), r"site with --start-from .*: got 'backbone\.1'"),
    ],
)
def test_a_start_that_is_of_another_kind_or_site_is_refused(
    tmp_path: Path, more: tuple[str, ...], words: str
) -> None:
    collect(tmp_path / "activations", SITES)
    run(tmp_path / "activations", tmp_path / "first", "--site", "backbone.1", "--epochs", "1")
    more = ("--site", "backbone.1", "--start-from", str(tmp_path / "first"), *more)
    with pytest.raises(ConfigurationError, match=words):
        run(tmp_path / "activations", tmp_path / "second", *more)
    assert not (tmp_path / "second").exists()


def test_a_start_whose_training_is_unknown_is_refused(tmp_path: Path) -> None:
    collect(tmp_path / "activations", {"backbone.1": SITES["backbone.1"]})
    run(tmp_path / "activations", tmp_path / "first", "--epochs", "1")
    card = SaeBundle.load(tmp_path / "first").card
    del card.data["training"]
    card.save(tmp_path / "first")
    with pytest.raises(ConfigurationError, match="says nothing of its training"):
        run(tmp_path / "activations", tmp_path / "x", "--start-from", str(tmp_path / "first"))


@pytest.mark.slow
def test_two_processes_of_torchrun_train_what_one_does_up_to_rounding(tmp_path: Path) -> None:
    collect(tmp_path / "activations", {"backbone.1": SITES["backbone.1"]})
    run(tmp_path / "activations", tmp_path / "alone")
    given = ["--dictionary-size", "24", "--k", "4", "--batch-size", "64", "--epochs", "15"]
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "vla_sae_ros.cli",
        "train-sae",
        str(tmp_path / "activations"),
        "--out",
        str(tmp_path / "together"),
        *given,
    ]
    done = subprocess.run(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=WORK,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("held-out FVU") == 1
    alone, together = (SaeBundle.load(tmp_path / name) for name in ("alone", "together"))
    torch.testing.assert_close(alone.sae.W_dec, together.sae.W_dec, atol=1e-3, rtol=0)
    assert together.card.metrics["fvu"] == pytest.approx(alone.card.metrics["fvu"], rel=1e-3)
