"""OpenVLA in the offline commands: rollouts, activations, an SAE, its labels, a study, in LIBERO.

With OPENVLA_PYTHON naming the Python of an environment as docs/families.md makes it. The folder is
a small random model whose code comes with it; everything runs there, with transformers 4.40.1.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from patience import WORK

PYTHON = os.environ.get("OPENVLA_PYTHON", "")
pytestmark = pytest.mark.skipif(
    not PYTHON, reason="OPENVLA_PYTHON names no Python of OpenVLA's environment: docs/families.md"
)
REPOSITORY = Path(__file__).parents[2]
SITE, STEPS = "backbone.1", 8
NODE = """
import sys
from pathlib import Path
import numpy as np
from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.activations.observations import read_observation
from vla_sae_ros.nodes.policy.parameters import PolicyParameters
from vla_sae_ros.nodes.policy.torch_backend import make_torch_engine

folder = Path(sys.argv[1])
node = make_torch_engine(PolicyParameters(policy=sys.argv[2], trust_remote_code=True), print)
index = ActivationDataset.open(folder).load("backbone.1").steps
for one in index:
    seen = read_observation(folder, one.episode_id, one.step)
    chunk = node.infer(seen.frame, one.instruction, (one.seed, one.step)).actions
    assert chunk.shape == (1, 7) and chunk[0, -1] in (-1.0, 1.0), chunk
    np.testing.assert_array_equal(chunk[0], np.array(one.action, np.float32))
print(len(index), "alike")
"""


def there(*words: object) -> subprocess.CompletedProcess[str]:
    """Run that Python with these words, on the sources of this repository."""
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return subprocess.run(
        [PYTHON, *map(str, words)],
        env=kept
        | {"AMENT_PREFIX_PATH": str(Path(PYTHON).parents[1]), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=WORK,
    )


def command(*words: object) -> str:
    """Return what a command of `vla-sae` prints; it has to succeed."""
    done = there("-m", "vla_sae_ros.cli", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policies") / "openvla"
    folder.mkdir()
    subprocess.run(
        [PYTHON, REPOSITORY / "test" / "helpers" / "write_openvla_folder.py", folder], check=True
    )
    return folder


@pytest.fixture(scope="module")
def work(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Activations of a few short episodes, an SAE on them, classified and labelled."""
    work = tmp_path_factory.mktemp("work")
    activations, bundle = work / "activations", work / "sae" / SITE
    policy = ("--policy", folder, "--trust-remote-code", "--max-steps", STEPS)
    tasks = ("--tasks", "0,1", "--episodes", 2, "--keep-observations")
    command("collect", activations, *policy, *tasks, "--sites", SITE)
    command("train-sae", activations, "--out", bundle, "--dictionary-size", 64, "--epochs", 2)
    command("classify", bundle, activations)
    command("label", bundle, activations)
    return work


def test_what_is_collected_is_what_the_node_answers_to_the_same_pictures(
    work: Path, folder: Path
) -> None:
    done = there("-c", NODE, work / "activations", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{4 * STEPS} alike" in done.stdout


def test_a_rollout_executes_one_action_per_inference_and_refuses_more(
    folder: Path, tmp_path: Path
) -> None:
    words = ("rollout", "--policy", folder, "--tasks", 0, "--episodes", 1, "--max-steps", STEPS)
    refused = there("-m", "vla_sae_ros.cli", *words)
    assert refused.returncode != 0 and "--trust-remote-code" in refused.stderr
    trusted = (*words, "--trust-remote-code")
    refused = there("-m", "vla_sae_ros.cli", *trusted, "--execute-steps", 5)
    assert refused.returncode != 0 and "1 to 1, the policy's chunk" in refused.stderr
    assert "libero_object 0" in command(*trusted, "--out", tmp_path / "plain.jsonl")
    outcome = json.loads((tmp_path / "plain.jsonl").read_text())
    assert (outcome["execute_steps"], outcome["steps"]) == (1, STEPS)
    assert outcome["unnorm_key"] == "libero"


def test_a_study_changes_actions_and_hooks_at_strength_0_do_not(work: Path, folder: Path) -> None:
    study = {
        "name": "openvla",
        "policy": str(folder),
        "bundles": [str(work / "sae" / SITE)],
        "features": [{"site": SITE, "ids": [0]}],
        "changes": [{"mode": "add", "unit": "residual_norm", "strengths": [1.0]}],
        "places": [{"suite": "libero_object", "tasks": "0", "rollouts": 1}],
        "arms": ["none", "zero", "feature"],
        "max_steps": STEPS,
        "cap": 100.0,
    }
    (work / "study.yaml").write_text(yaml.safe_dump(study))
    words = ("evaluate", work / "study.yaml", "--out", work / "out", "--trust-remote-code")
    said = command(*words, "--workers", 1)
    assert "hooks at strength 0: 1 of 1 bit-identical" in said and "3 runs made" in said
    runs = [json.loads(line) for line in (work / "out" / "runs.jsonl").read_text().splitlines()]
    assert {run["settings"]["execute_steps"] for run in runs} == {1}
    assert len({run["outcome"]["actions_sha256"] for run in runs}) == 2
