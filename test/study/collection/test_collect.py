"""Activations from a simulation, a data set and a bag, through the engine that serves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from counting_scene import TASKS, CountingScene
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from served_bag import ServedBag
from tiny_families import statistics

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.activations.format import CollectionError
from vla_sae_ros.activations.frames import read_frame
from vla_sae_ros.activations.observations import read_observation
from vla_sae_ros.activations.source import EpisodeSource, PolicyQuery, SourceEpisode
from vla_sae_ros.cli import main
from vla_sae_ros.core.contract import load_contract
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.inference import noise_state
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny.tiny_pi import PiSize, build_tiny_pi, save_tiny_pi
from vla_sae_ros.resources import resource
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sim.environment import Layout
from vla_sae_ros.study.collection import activation_collection
from vla_sae_ros.study.collection.activation_collection import ActivationCollection, Tally
from vla_sae_ros.study.collection.bag_source import BagSource
from vla_sae_ros.study.collection.dataset_description import offered_features
from vla_sae_ros.study.collection.dataset_source import DatasetSource
from vla_sae_ros.study.collection.simulated_source import (
    PlannedEpisode,
    SimulatedSource,
    plan_collection,
)

SITES = ("backbone.1", "expert.0")


def collect(
    loaded: LoadedPolicy,
    source: EpisodeSource,
    folder: Path,
    finished: Callable[[SourceEpisode], None] = lambda episode: None,
    pooling: str = "mean",
) -> Tally:
    engine = PolicyEngine(loaded)
    collection = ActivationCollection(engine, folder, SITES, pooling, source, 32)
    try:
        return collection.run(collection.waiting(), finished)
    finally:
        collection.close()
        engine.close()


def simulation(episodes: int = 2) -> SimulatedSource:
    return SimulatedSource(CountingScene(), plan_collection(TASKS, episodes, 7), 3)


def test_a_simulation_is_collected_with_everything_that_is_known_of_it(
    loaded: LoadedPolicy, tmp_path: Path
) -> None:
    tally = collect(loaded, simulation(), tmp_path / "a")
    assert (tally.collected, tally.skipped, tally.successes) == (4, 0, 2)
    dataset = ActivationDataset.open(tmp_path / "a")
    assert [one.success for one in dataset.episodes] == [False, True, False, True]
    assert {one.task for one in dataset.episodes} == {"fake 0", "fake 1"}
    data = dataset.load("expert.0", [dataset.episodes[1]])
    assert [one.step for one in data.steps] == [0, 3]  # success after six steps
    step = data.steps[1]
    assert step.object_positions["can"] == pytest.approx((0.1, 0.2, 0.03))
    assert step.state is not None and step.state[2] == pytest.approx(0.06)
    assert step.residual_norm is not None and len(step.action or ()) == 7
    jpeg = read_frame(tmp_path / "a", dataset.episodes[1].episode_id, 3)
    assert jpeg is not None and jpeg.startswith(b"\xff\xd8")
    assert read_frame(tmp_path / "a", dataset.episodes[1].episode_id, 4) is None


def test_an_interrupted_collection_goes_on_and_ends_with_the_same_activations(
    loaded: LoadedPolicy, tmp_path: Path
) -> None:
    collect(loaded, simulation(), tmp_path / "whole")

    def interrupt(episode: SourceEpisode) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(loaded, simulation(), tmp_path / "parts", interrupt)
    tally = collect(loaded, simulation(), tmp_path / "parts")
    assert (tally.collected, tally.skipped) == (3, 1)
    parts, whole = (ActivationDataset.open(tmp_path / name) for name in ("parts", "whole"))
    for site in SITES:
        np.testing.assert_array_equal(parts.load(site).rows[:], whole.load(site).rows[:])


def test_a_longer_plan_begins_like_the_shorter_one_and_keeps_evaluation_states_out() -> None:
    short, long = plan_collection(TASKS, 3, 0), plan_collection(TASKS, 50, 0)
    assert long[: len(short)] == short
    assert {one.init_state for one in long} == set(range(40))
    assert len({one.seed for one in long}) == 100
    assert plan_collection(TASKS, 1, 0, max_steps=4)[0].step_limit == 4


def opened(engine: PolicyEngine, folder: Path, every: int = 3, max_steps: int = 0) -> None:
    source = SimulatedSource(CountingScene(), plan_collection(TASKS, 1, 7, max_steps), every)
    ActivationCollection(engine, folder, SITES, "mean", source, 0).close()


def test_a_folder_takes_no_episodes_that_were_asked_about_in_another_way(
    loaded: LoadedPolicy, tmp_path: Path
) -> None:
    engine = PolicyEngine(loaded)
    opened(engine, tmp_path / "a")
    opened(engine, tmp_path / "a")
    with pytest.raises(ConfigurationError, match=r"every 3' there, .*every 4' now"):
        opened(engine, tmp_path / "a", every=4)
    with pytest.raises(ConfigurationError, match="5 steps at most"):
        opened(engine, tmp_path / "a", max_steps=5)
    cameras = [name for name in engine.input_features if name.startswith("observation.images.")]
    swapped = dict(zip(cameras, reversed(cameras), strict=True))
    engine.observe({name: None for name in cameras} | {"observation.state": (8,)}, swapped)
    with pytest.raises(ConfigurationError, match="inputs"):
        opened(engine, tmp_path / "a")


def test_episodes_with_another_object_to_bring_have_ids_of_their_own() -> None:
    (trial, _) = plan_collection(TASKS, 1, 3)
    goal = (("in", "butter_1", "basket_1_contain_region"),)
    other = replace(trial, task=replace(trial.task, goal=goal))
    one, another = (PlannedEpisode(each, 5).episode_id for each in (trial, other))
    assert one != another and "butter_1" in another


@pytest.mark.parametrize("option", ["--seed", "--max-steps", "--frame-height"])
def test_a_number_below_zero_is_refused_by_its_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert main(["collect", str(tmp_path / "a"), "--sites", "expert.0", option, "-1"]) == 2
    assert option in capsys.readouterr().err


def test_moved_and_shuffled_episodes_say_so_in_their_ids() -> None:
    layout = Layout(0.04, shuffle=True)
    (plain, _), (moved, _) = (
        [PlannedEpisode(trial, 5) for trial in plan_collection(TASKS, 1, 3, layout=one)]
        for one in (Layout(), layout)
    )
    assert moved.trial.layout == layout
    assert moved.episode_id == f"shuffled-moved_0.04-{plain.episode_id}"


def test_episodes_that_ask_for_another_object_of_a_scene_have_other_ids() -> None:
    (trial, _) = plan_collection(TASKS, 1, 3)
    other = replace(trial, task=replace(trial.task, goal=(("in", "butter_1", "basket_1"),)))
    ids = {PlannedEpisode(one, 5).episode_id for one in (trial, other)}
    assert len(ids) == 2 and any("butter_1" in one for one in ids)


def test_layouts_are_refused_where_they_cannot_be_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--sites", "backbone.0", "--env", "metaworld", "--move", "0.04"]
    assert main(["collect", str(tmp_path / "out"), *given]) == 2
    assert "libero only" in capsys.readouterr().err
    given = ["--sites", "backbone.0", "--move", "-0.04"]
    assert main(["collect", str(tmp_path / "out"), *given]) == 2
    assert "--move" in capsys.readouterr().err


def test_a_disk_that_will_not_hold_the_rest_is_said_before_it_is_full(
    loaded: LoadedPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        activation_collection.shutil, "disk_usage", lambda path: SimpleNamespace(free=10**8)
    )
    with pytest.raises(CollectionError, match=r"kB per inference.*GB free"):
        collect(loaded, simulation(), tmp_path / "a")


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets") / "mine"
    picture = {"dtype": "image", "shape": (64, 96, 3), "names": ["height", "width", "channels"]}
    features = {
        "observation.images.agentview": picture,
        "observation.images.wrist": picture,
        "observation.state": {"dtype": "float32", "shape": (8,), "names": None},
        "action": {"dtype": "float32", "shape": (7,), "names": None},
    }
    made = LeRobotDataset.create("mine", 10, features, folder, use_videos=False)
    random = np.random.default_rng(0)
    for _ in range(2):
        for _ in range(5):
            frame = {
                name: random.integers(0, 256, (64, 96, 3), dtype=np.uint8)
                for name in list(features)[:2]
            }
            frame["observation.state"] = random.normal(size=8).astype(np.float32)
            frame["action"] = np.zeros(7, np.float32)
            made.add_frame({**frame, "task": "pick up the butter"})
        made.save_episode()
    made.finalize()
    return folder


def test_a_lerobot_data_set_is_collected_episode_by_episode(
    loaded: LoadedPolicy, data_set: Path, tmp_path: Path
) -> None:
    features = sorted(PolicyEngine(loaded).input_features)
    tally = collect(loaded, DatasetSource(data_set, features, 2), tmp_path / "a", pooling="token")
    assert tally.collected == 2
    dataset = ActivationDataset.open(tmp_path / "a")
    assert dataset.collection.control_rate == 10
    assert [one.instruction for one in dataset.episodes] == ["pick up the butter"] * 2
    assert [one.success for one in dataset.episodes] == [None, None]
    data = dataset.load("expert.0", [dataset.episodes[1]])
    assert [one.step for one in data.steps] == [0, 2, 4]
    assert all(one.rows == 6 for one in data.steps)  # one per action of the chunk


def test_a_data_set_offers_its_observations_by_their_names_and_shapes(
    loaded: LoadedPolicy, data_set: Path
) -> None:
    offered = offered_features(data_set)
    assert offered["observation.state"] == (8,)
    cameras = [name for name, shape in offered.items() if shape is None]
    assert cameras and all(name.startswith("observation.images.") for name in cameras)
    PolicyEngine(loaded).observe(offered)


def test_a_folder_that_is_no_data_set_is_refused(data_set: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"info\.json"):
        DatasetSource(data_set.parent, [], 1)
    with pytest.raises(ConfigurationError, match=r"info\.json"):
        offered_features(data_set.parent)


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ({"motors": [f"j{n}" for n in range(8)]}, tuple(f"j{n}" for n in range(8))),
        ([f"j{n}" for n in range(8)], tuple(f"j{n}" for n in range(8))),
        (["state"], ()),
        (None, ()),
    ],
)
def test_the_states_numbers_are_called_as_the_data_set_calls_them(
    loaded: LoadedPolicy, data_set: Path, tmp_path: Path, said: object, names: tuple[str, ...]
) -> None:
    copied = copy_of(data_set, tmp_path / "set")
    info = copied / "meta" / "info.json"
    described = json.loads(info.read_text())
    described["features"]["observation.state"]["names"] = said
    info.write_text(json.dumps(described))
    source = DatasetSource(copied, ["observation.state"], 1)
    assert source.state_names == names
    collected = tmp_path / "a"
    features = sorted(PolicyEngine(loaded).input_features)
    collect(loaded, DatasetSource(copied, features, 5), collected)
    assert ActivationDataset.open(collected).collection.state_names == names


def copy_of(folder: Path, copied: Path) -> Path:
    shutil.copytree(folder, copied)
    return copied


STATE = {"dtype": "float32", "shape": [8], "names": None}


@pytest.mark.parametrize(
    "change",
    [
        {"features": 5},
        {"features": {"observation.state": "float32"}},
        {"features": {"observation.state": {"shape": [8]}}},
        *(
            {"features": {"observation.state": STATE | {"shape": shape}}}
            for shape in (None, 8, "8", [-8], [0], [True], [8.0], [None])
        ),
        {"codebase_version": None},
        {"total_frames": 1.5},
        {"total_frames": 10**20},
        {"total_episodes": None},
        {"fps": 0},
        {"fps": None},
        {"fps": "fast"},
        {"fps": float("nan")},
        {"fps": float("inf")},
    ],
    ids=str,
)
def test_a_description_of_something_else_is_refused_in_a_sentence(
    data_set: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    copied = copy_of(data_set, tmp_path / "set")
    info = copied / "meta" / "info.json"
    described = json.loads(info.read_text())
    info.write_text(json.dumps(described | change))
    with pytest.raises(ConfigurationError, match=r"info\.json|set"):
        offered_features(copied)
        DatasetSource(copied, ["observation.state"], 1)


def test_a_data_set_with_other_pictures_is_another_one(data_set: Path, tmp_path: Path) -> None:
    copied = copy_of(data_set, tmp_path / "set")
    (file,) = (copied / "data").rglob("*.parquet")
    table = pq.read_table(file)
    one, other = (f"observation.images.{name}" for name in ("agentview", "wrist"))
    fresh = {one: table.column(other), other: table.column(one)}
    for name, column in fresh.items():
        place = table.column_names.index(name)
        table = table.set_column(place, table.schema.field(name), column)
    features = ["observation.state"]
    before, again = DatasetSource(data_set, features, 2), DatasetSource(data_set, features, 2)
    pq.write_table(table, file)
    assert before.identity == again.identity != DatasetSource(copied, features, 2).identity


def test_a_damaged_picture_is_the_matter_of_its_own_episode(
    loaded: LoadedPolicy, data_set: Path, tmp_path: Path
) -> None:
    copied = copy_of(data_set, tmp_path / "set")
    (file,) = (copied / "data").rglob("*.parquet")
    table = pq.read_table(file)
    name = "observation.images.wrist"
    pictures = table.column(name).to_pylist()
    pictures[0]["bytes"] = pictures[0]["bytes"][:100]
    kind = table.schema.field(name)
    cut = pa.array(pictures, kind.type)
    pq.write_table(table.set_column(table.column_names.index(name), kind, cut), file)
    source = DatasetSource(copied, sorted(PolicyEngine(loaded).input_features), 2)
    tally = collect(loaded, source, tmp_path / "a")
    assert tally.collected == 1 and tally.broken[0].startswith("episode-000000: row 0")


def test_a_data_set_without_its_data_is_refused_in_a_sentence(
    data_set: Path, tmp_path: Path
) -> None:
    copied = copy_of(data_set, tmp_path / "set")
    shutil.rmtree(copied / "data")
    with pytest.raises(ConfigurationError, match="lerobot cannot open the data set"):
        DatasetSource(copied, [], 1)


def test_a_row_that_cannot_be_read_is_named_and_its_episode_passed_over(
    loaded: LoadedPolicy, data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = DatasetSource(data_set, sorted(PolicyEngine(loaded).input_features), 2)
    whole = LeRobotDataset.__getitem__

    def torn(dataset: LeRobotDataset, row: int) -> dict:
        if row == 2:
            raise RuntimeError("Could not push packet to decoder: Invalid data\nFFmpeg says\nmore")
        return whole(dataset, row)

    monkeypatch.setattr(LeRobotDataset, "__getitem__", torn)
    tally = collect(loaded, source, tmp_path / "a")
    assert tally.collected == 1
    (words,) = tally.broken
    assert words.startswith("episode-000000: row 2 cannot be read (RuntimeError: Could not push")
    assert "FFmpeg" not in words
    assert [one.episode_id for one in ActivationDataset.open(tmp_path / "a").episodes] == [
        "episode-000001"
    ]


def test_a_source_of_which_nothing_can_be_collected_is_refused_with_the_reason(
    loaded: LoadedPolicy, data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = DatasetSource(data_set, sorted(PolicyEngine(loaded).input_features), 2)

    def torn(dataset: LeRobotDataset, row: int) -> dict:
        raise OSError("no such video")

    monkeypatch.setattr(LeRobotDataset, "__getitem__", torn)
    with pytest.raises(ConfigurationError, match=r"No episode could be collected.*no such video"):
        collect(loaded, source, tmp_path / "a")


def renaming_policy(folder: Path) -> LoadedPolicy:
    """As `lerobot-train --rename_map` saves it; it has a third camera, which no robot had."""
    theirs = [f"observation.images.{one}_0_rgb" for one in ("base", "left_wrist", "right_wrist")]
    picture, state = PolicyFeature(FeatureType.VISUAL, (3, 64, 96)), FeatureType.STATE
    inputs = dict.fromkeys(theirs, picture) | {"observation.state": PolicyFeature(state, (8,))}
    policy = build_tiny_pi("pi05", PiSize(), input_features=inputs)
    save_tiny_pi(policy, PiSize(), statistics(), folder)
    file = folder / "policy_preprocessor.json"
    pipeline = json.loads(file.read_text())
    ours = [f"observation.images.{one}" for one in ("agentview", "wrist")]
    for step in pipeline["steps"]:
        if step.get("registry_name") == "rename_observations_processor":
            step["config"]["rename_map"] = dict(zip(ours, theirs, strict=False))
    file.write_text(json.dumps(pipeline))
    return load_policy(folder)


def test_a_policy_that_renames_the_data_sets_cameras_answers_as_in_lerobot(
    data_set: Path, tmp_path: Path
) -> None:
    loaded = renaming_policy(tmp_path / "policy")
    engine = PolicyEngine(loaded)
    engine.observe(offered_features(data_set))
    source = DatasetSource(data_set, sorted(engine.input_features), 5)
    chunks = []

    def answer(query: PolicyQuery) -> np.ndarray:
        seed = (query.seed, query.step)
        chunks.append(engine.infer(query.frame, query.instruction, seed).actions)
        return chunks[-1]

    next(iter(source.episodes())).play(answer)
    item = LeRobotDataset("d", root=data_set)[0]
    batch = {key: value for key, value in item.items() if key.startswith("observation.")}
    generator = torch.Generator().manual_seed(noise_state((0, 0)))
    noise = torch.randn(1, *engine.adapter.noise_shape, generator=generator)
    with torch.inference_mode():
        prepared = loaded.preprocessor({**batch, "task": item["task"]})
        chunk = loaded.policy.predict_action_chunk(prepared, noise=noise)
    np.testing.assert_allclose(chunks[0], loaded.postprocessor(chunk)[0].numpy(), atol=1e-5)


def test_observations_are_kept_under_the_policys_own_names(data_set: Path, tmp_path: Path) -> None:
    engine = PolicyEngine(renaming_policy(tmp_path / "policy"))
    engine.observe(offered_features(data_set))
    source = DatasetSource(data_set, sorted(engine.input_features), 5)
    folder = tmp_path / "a"
    collection = ActivationCollection(engine, folder, ["expert.1"], "mean", source, 0, True)
    collection.run(collection.waiting(), lambda episode: None)
    collection.close()
    first = ActivationDataset.open(folder).episodes[0]
    kept = read_observation(folder, first.episode_id, 0)
    assert kept is not None
    assert sorted(kept.frame) == [
        "observation.images.base_0_rgb",
        "observation.images.left_wrist_0_rgb",
        "observation.state",
    ]


@pytest.fixture
def bag(
    loaded: LoadedPolicy, make_bundle: Callable[..., SaeBundle], tmp_path: Path
) -> Iterator[Path]:
    engine = PolicyEngine(loaded, [make_bundle(loaded, "expert.1")])
    ServedBag(tmp_path / "bag", engine, "png").record()
    engine.close()
    yield tmp_path / "bag"


def test_a_bag_gives_the_activations_of_its_observations_without_the_recorded_steering(
    loaded: LoadedPolicy, bag: Path, tmp_path: Path
) -> None:
    contract = load_contract(resource("config", "contracts", "libero.yaml"))
    source = BagSource(bag, contract)
    tally = collect(loaded, source, tmp_path / "a")
    source.close()
    assert tally.collected == 1
    data = ActivationDataset.open(tmp_path / "a").load("expert.0")
    assert [one.step for one in data.steps] == [3 * n for n in range(12)]
    again: list[int] = []
    for _ in range(2):  # an episode can be gone through more than once
        (episode,) = source.episodes()
        episode.play(lambda moment: (again.append(moment.step), np.zeros((6, 7)))[1])
    assert again == [3 * n for n in range(12)] * 2


def test_a_bag_of_another_control_rate_than_the_contracts_is_refused(bag: Path) -> None:
    contract = load_contract(resource("config", "contracts", "libero.yaml"))
    with pytest.raises(ConfigurationError, match=r"control rate of .*: got '20'; allowed: 10"):
        BagSource(bag, replace(contract, fps=10.0))


def test_a_site_that_the_policy_does_not_have_is_refused_before_anything_is_made(
    tiny_policy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["collect", str(tmp_path / "a"), "--policy", str(tiny_policy_folder)]
    assert main([*arguments, "--sites", "expert.0", "expert.9"]) == 2
    assert "expert.9" in capsys.readouterr().err
    assert main([*arguments, "--sites", "expert.0", "--episodes", "0"]) == 2
    assert not (tmp_path / "a").exists()
