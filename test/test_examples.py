"""Every program of examples/ runs as it stands and shows what its header says."""

from __future__ import annotations

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from domains import take_domain
from patience import WORK
from real_environments import BOTH, METAWORLD, RealEnvironment
from running_system import RunningSystem

from vla_sae_ros.bags.reading import read_bag
from vla_sae_ros.clients.client import Client
from vla_sae_ros.core.errors import VlaSaeError
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.study.bag_commands.export import export_tables

EXAMPLES = Path(__file__).parents[1] / "examples"
POLICY = "vla_sae_ros.nodes.policy.policy_node"

pytestmark = pytest.mark.slow  # real nodes load real policies and LIBERO


def run(name: str, *arguments: object, domain: int = 0) -> str:
    """Run an example to its end; return what it printed."""
    here = {"ROS_DOMAIN_ID": str(domain)} if domain else {}
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        env=os.environ | here,
        capture_output=True,
        text=True,
        timeout=WORK,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_table_lists_every_program() -> None:
    table = (EXAMPLES / "README.md").read_text()
    assert re.findall(r"\((\w+\.py)\)", table) == re.findall(r"\[(\w+\.py)\]", table)
    assert set(re.findall(r"\((\w+\.py)\)", table)) == {path.name for path in EXAMPLES.glob("*.py")}


def test_a_policy_family_of_ones_own_is_read_and_steered() -> None:
    said = run("own_policy_family.py")
    assert "bit-identical without an edit: True" in said
    plain, steered = re.search(r"plain +(\[.*?\])\nsteered (\[.*?\])", said, re.DOTALL).groups()
    assert plain != steered


def test_an_untrained_policy_has_the_widths_of_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("metaworld", reason='pip install "metaworld==3.1.1"')
    own = ["untrained_policy.py", str(tmp_path), "--env", "metaworld", "--suite", "reach-v3"]
    # In this process: another one would import lerobot again.
    monkeypatch.setattr(sys, "argv", own)
    runpy.run_path(str(EXAMPLES / own[0]), run_name="__main__")
    said = capsys.readouterr().out
    policy, bundle = map(Path, said.splitlines()[-2:])  # lerobot says something before
    config = json.loads((policy / "config.json").read_text())
    shapes = {key: one["shape"] for key, one in config["input_features"].items()}
    assert shapes == {"observation.image": [3, 480, 480], "observation.state": [4]}
    assert config["output_features"]["action"]["shape"] == [4]
    assert (bundle / "bundle.yaml").is_file()


@pytest.mark.parametrize("real", BOTH)
def test_a_policy_is_cloned_from_a_scripted_teacher(
    real: RealEnvironment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    env = real.env if real is METAWORLD else f"{real.env},episode_length=4"
    cheap = ["--episodes", "1", "--every", "20", "--steps", "2"]
    suite = ["--suite", real.suite] if real.suite else []
    # In this process: another one would import lerobot again.
    monkeypatch.setattr(
        sys, "argv", ["cloned_policy.py", str(tmp_path), "--env", env, *suite, *cheap]
    )
    runpy.run_path(str(EXAMPLES / "cloned_policy.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "demonstration 0:" in said
    told = re.search(r"next action is ([\d.]+); before its training it was ([\d.]+)", said)
    assert told and told[1] != told[2]
    config = json.loads((tmp_path / "policy" / "config.json").read_text())
    assert config["input_features"]["observation.state"]["shape"] == [real.state]
    assert config["output_features"]["action"]["shape"] == [real.action]
    assert load_policy(tmp_path / "policy").policy_id
    assert (tmp_path / "demonstrations.pt").is_file()


def test_a_bags_features_are_correlated_with_the_height(synthetic_bag: Path) -> None:
    said = run("analyse_a_bag.py", synthetic_bag)
    bag = read_bag(synthetic_bag, pictures=False)
    for episode in bag.episodes:
        assert f"{episode.episode_id}: {episode.suite} {episode.task}," in said
    ((site, feature, told), *_) = re.findall(r"  (\S+) +(\d+)  r = (\S+)", said)
    episode = bag.episodes[0]
    stream = episode.features[site]
    height = dict(zip(episode.position.step, episode.position.values[:, 2], strict=True))
    pairs = [
        (height[step], natural[index == int(feature)].sum())
        for row, step in enumerate(stream.step)
        for index, natural, _ in [stream.row(row)]
    ]
    x, y = np.array(pairs, float).T
    r = np.mean((x - x.mean()) * (y - y.mean())) / (x.std() * y.std())
    assert float(told) == pytest.approx(r, abs=0.006)


def test_exported_tables_say_in_pandas_what_the_bag_says(
    synthetic_bag: Path, tmp_path: Path
) -> None:
    bag = read_bag(synthetic_bag, pictures=False)
    export_tables(bag, tmp_path / "tables", "parquet")
    said = run("analyse_in_pandas.py", tmp_path / "tables")
    plain, steered = bag.episodes
    shares = [float(each.features["backbone.1"].steered().mean()) for each in bag.episodes]
    rows = re.findall(r"^\d+ +3 +pick up the soup +(\w+) +([\d.]+) +([\d.]+)$", said, re.MULTILINE)
    assert rows == [("FAILED", "3.0", f"{shares[0]:.1f}"), ("SUCCEEDED", "2.0", f"{shares[1]:.1f}")]
    natural = np.concatenate([e.features["backbone.1"].dense([3])[0][:, 0] for e in bag.episodes])
    (mean,) = re.findall(r"^backbone\.1 3 +([\d.]+)", said, re.MULTILINE)
    assert float(mean) == pytest.approx(natural.mean(), abs=6e-4)
    assert re.search(r"^backbone\.1 7 +10 +25 +1\.0 +8\.0 +0\.2$", said, re.MULTILINE)
    apart = np.linalg.norm(
        plain.position.values[: len(steered.position.step)] - steered.position.values, axis=1
    )
    (told,) = re.findall(r"^apart +([\d. ]+)$", said, re.MULTILINE)
    assert float(told.split()[0]) == pytest.approx(apart[0], abs=1e-3)


def test_a_script_runs_an_episode_and_reads_the_features(running_system: RunningSystem) -> None:
    said = run("run_an_episode.py", "--max-steps", 10, domain=running_system.domain)
    assert "no success after 10 steps" in said
    for site in ("backbone.1", "expert.1"):
        assert f"{site}, mean over 2 inferences:" in said
    sites = re.findall(r"mean over", said)
    assert len(re.findall(r"^ +\d+ +[\d.]+", said, re.MULTILINE)) == 5 * len(sites)


def test_a_node_steers_while_the_hand_is_low(running_system: RunningSystem, monkeypatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(running_system.domain))
    with Client("test_examples") as client:
        client.wait_until_ready(timeout=WORK)
        node = subprocess.Popen(
            [sys.executable, EXAMPLES / "steer_from_a_node.py", "--below", "9"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            # The first pose comes with an episode: the edit stands from its second chunk on. An
            # episode that is over before the node has found the graph is followed by another.
            while node.poll() is None:
                client.run_episode("libero_object", 0, 41, 7, max_steps=40, timeout=WORK)
            said, _ = node.communicate(timeout=WORK)
        finally:
            node.kill()
    assert re.search(r"hand at \d\.\d+ m: set", said)
    applied = [float(text) for text in re.findall(r"step \d+: [\d.]+ -> ([\d.]+)", said)]
    assert applied and applied[-1] > 0


class OwnSystem(NamedTuple):
    domain: int
    processes: list[subprocess.Popen[bytes]]

    def wait_until_ready(self, client: Client) -> None:
        """A process that ends on the way fails the test at once."""
        until = time.monotonic() + WORK
        while True:
            assert [process.poll() for process in self.processes] == [None, None]
            try:
                return client.wait_until_ready(timeout=5.0)
            except VlaSaeError:
                if time.monotonic() > until:
                    raise


@pytest.fixture
def own_system(tiny_policy_folder: Path) -> Iterator[OwnSystem]:
    """The example's bridge and a tiny policy, in processes."""
    domain = take_domain()
    commands = [
        [sys.executable, EXAMPLES / "own_environment.py"],
        [sys.executable, "-m", POLICY, "--ros-args", "-p", f"policy:={tiny_policy_folder}"],
    ]
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain)}
    processes = [subprocess.Popen(command, env=environment) for command in commands]
    yield OwnSystem(domain, processes)
    for process in processes:
        process.send_signal(signal.SIGINT)
    for process in processes:
        assert process.wait(WORK) == 0


def test_a_policy_drives_an_environment_of_ones_own(own_system: OwnSystem, monkeypatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(own_system.domain))
    with Client("test_examples") as client:
        own_system.wait_until_ready(client)
        first, again, other = (
            client.run_episode("drawing", 0, seed=seed, timeout=WORK) for seed in (3, 3, 4)
        )
    assert first.success or first.steps == 60
    assert first.actions_sha256 == again.actions_sha256 != other.actions_sha256
