"""A small bag with a plain and a steered episode, written by the recorder's own writer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from vla_sae_ros.bags.message_definitions import definition_of
from vla_sae_ros.bags.writer import BagWriter

if TYPE_CHECKING:
    from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
    from vla_sae_ros.policy.engine import PolicyEngine
    from vla_sae_ros.sae import SaeBundle

SERVED_SITES = ("backbone.0", "expert.1")
RATE = 20.0
START = 1_700_000_000 * 10**9
PERIOD = 50_000_000
# Wall clock: the simulation runs four times faster than real time.
WALL_PERIOD = PERIOD // 4

OURS = (
    "EpisodeState",
    "ExecutedAction",
    "FeatureActivations",
    "FeatureCatalogue",
    "FeatureInfo",
    "SteeringState",
    "SteeringEditState",
    "SteeringEdit",
    "SteeringEvent",
    "Annotation",
    "NodeDescription",
)


class SyntheticBag:
    """Writes messages given as plain fields; a field left out is zero or empty."""

    def __init__(self, folder: Path) -> None:
        self.types = get_typestore(Stores.ROS2_JAZZY)
        for name in OURS:
            full = f"vla_sae_ros/msg/{name}"
            found = get_types_from_msg(definition_of(full).text, full)
            self.types.register({k: v for k, v in found.items() if k not in self.types.types})
        self.writer = BagWriter(folder, 2 * 2**20)

    def make(self, msgtype: str, **fields: Any) -> Any:
        kind = self.types.types[msgtype]
        values = {}
        for name, (nodetype, detail) in self.types.fielddefs[msgtype][1]:
            values[name] = fields.pop(name, None)
            if values[name] is None:
                values[name] = self._nothing(nodetype.name, detail)
        assert not fields, f"{msgtype} has no {fields}"
        return kind(**values)

    def write(self, received: int, topic: str, msgtype: str, **fields: Any) -> None:
        self.writer.add_topic(topic, msgtype)
        data = self.types.serialize_cdr(self.make(msgtype, **fields), msgtype)
        self.writer.write(topic, received, bytes(data))

    def header(self, stamp: int) -> Any:
        return self.make("std_msgs/msg/Header", stamp=self.time(stamp))

    def time(self, stamp: int) -> Any:
        return self.make("builtin_interfaces/msg/Time", sec=stamp // 10**9, nanosec=stamp % 10**9)

    def _nothing(self, nodetype: str, detail: Any) -> Any:
        if nodetype == "BASE":
            return {"string": "", "bool": False}.get(detail[0], 0)
        if nodetype == "NAME":
            return self.make(detail)
        inner = detail[0]
        if nodetype == "ARRAY":
            return np.zeros(detail[1])
        if inner[0].name == "BASE" and inner[1][0] != "string":
            return np.zeros(
                0, {"float32": np.float32, "float64": np.float64}.get(inner[1][0], inner[1][0])
            )
        return []


def write_episode(bag: SyntheticBag, name: str, number: int, begin: int, steps: int) -> int:
    """Write one episode that starts at `begin` by the wall clock; return the wall clock's end."""
    steered = name == "steered"

    def state(received: int, step: int, status: int) -> None:
        bag.write(
            received,
            "/episode",
            "vla_sae_ros/msg/EpisodeState",
            header=bag.header(begin),
            start=bag.time(begin),
            episode_id=name,
            suite="libero_object",
            task=3,
            seed=7,
            instruction="pick up the soup",
            step=step,
            max_steps=60,
            status=status,
            control_rate=RATE,
        )

    state(begin - 1000, 0, 1)
    for step in range(steps + 1):
        received, stamp = begin + step * WALL_PERIOD, begin + step * PERIOD
        if step % 5 == 0:
            observe(bag, received, stamp, step, number)
        if step % 5 == 0 and step < steps:
            activate(bag, received + 10, stamp, step, name, steered and 10 <= step < 30)
        if steered and step in (10, 30):
            steer(bag, received + 5, stamp, step == 10)
        if step < steps:
            bag.write(
                received + 20,
                "/executed_action",
                "vla_sae_ros/msg/ExecutedAction",
                header=bag.header(stamp),
                episode_id=name,
                step=step,
                chunk_id=1,
                action=np.array([step / 100, 0, 0, 0, 0, 0, -1], np.float32),
                source=int(steered and step in PERSON),
            )
            state(received + 30, step + 1, 2)
    state(received + 40, steps, 4 if steered else 5)
    return received + 50


PERSON = range(20, 28)
"""Steps of the steered episode that a person commanded."""


def observe(bag: SyntheticBag, received: int, stamp: int, step: int, number: int) -> None:
    point = bag.make("geometry_msgs/msg/Point", x=float(number), z=0.9 + step / 1000)
    pose = bag.make("geometry_msgs/msg/Pose", position=point)
    bag.write(
        received, "/ee_pose", "geometry_msgs/msg/PoseStamped", header=bag.header(stamp), pose=pose
    )
    opening = 0.04 if step < 25 or not number else 0.01
    bag.write(
        received,
        "/gripper",
        "sensor_msgs/msg/JointState",
        header=bag.header(stamp),
        name=["left", "right"],
        position=np.array([opening, -opening]),
    )
    rows, columns = np.mgrid[0:64, 0:64]
    picture = np.stack([np.full_like(rows, step), 200 - 2 * rows, columns + number], axis=2)
    bag.write(
        received,
        "/observation/image/agentview",
        "sensor_msgs/msg/Image",
        header=bag.header(stamp),
        height=64,
        width=64,
        encoding="rgb8",
        step=192,
        data=picture.astype(np.uint8).ravel(),
    )
    png = cv2.imencode(".png", picture.astype(np.uint8)[..., ::-1])[1]
    bag.write(
        received,
        "/observation/image/wrist/compressed",
        "sensor_msgs/msg/CompressedImage",
        header=bag.header(stamp),
        format="rgb8; png compressed bgr8",
        data=png.ravel(),
    )


def activate(
    bag: SyntheticBag, received: int, stamp: int, step: int, name: str, edited: bool
) -> None:
    natural = np.array([3 + np.sin(step / 8), 1.0, 0.5 * (step > 15) + 0.1], np.float32)
    applied = natural.copy()
    applied[1] = 8.0 if edited else 1.0
    bag.write(
        received,
        "/policy/features",
        "vla_sae_ros/msg/FeatureActivations",
        header=bag.header(stamp),
        episode_id=name,
        site="backbone.1",
        inference=step // 5 + 1,
        observation_step=step,
        index=np.array([3, 7, 11], np.uint32),
        natural=natural,
        applied=applied,
        edit_norm_ratio=0.2 if edited else 0.0,
    )


def steer(bag: SyntheticBag, received: int, stamp: int, on: bool) -> None:
    edit = bag.make("vla_sae_ros/msg/SteeringEdit", site="backbone.1", feature=7, value=4.0)
    standing = bag.make(
        "vla_sae_ros/msg/SteeringEditState",
        edit=edit,
        owner="test",
        commanded=8.0,
        applied=8.0,
        weight=1.0,
    )
    bag.write(
        received,
        "/steering/state",
        "vla_sae_ros/msg/SteeringState",
        header=bag.header(stamp),
        revision=1 if on else 2,
        edits=[standing] if on else [],
    )
    bag.write(
        received,
        "/steering/events",
        "vla_sae_ros/msg/SteeringEvent",
        header=bag.header(stamp),
        kind=0 if on else 2,
        owner="test",
        site="backbone.1",
        feature=7,
    )


def describe(bag: SyntheticBag, received: int) -> None:
    for node, names, values in (
        ("/policy", ["policy_id", "bundle_id.backbone.1"], ["p1", "b1"]),
        ("/bridge", ["clock", "seed"], ["lockstep", "7"]),
    ):
        bag.write(
            received,
            "/description",
            "vla_sae_ros/msg/NodeDescription",
            header=bag.header(received),
            node=node,
            software_version="0.1.0",
            names=names,
            values=values,
        )


def remark(bag: SyntheticBag, received: int, episode: str, step: int, text: str) -> None:
    bag.write(
        received,
        "/annotation",
        "vla_sae_ros/msg/Annotation",
        header=bag.header(received),
        episode_id=episode,
        step=step,
        author="eva",
        text=text,
    )


@pytest.fixture
def make_bag() -> Callable[[Path], Path]:
    """Return a function that makes a bag with a pose and nothing else in a folder."""

    def make(folder: Path) -> Path:
        bag = SyntheticBag(folder)
        bag.write(START, "/ee_pose", "geometry_msgs/msg/PoseStamped", header=bag.header(START))
        bag.writer.close()
        return folder

    return make


@pytest.fixture(scope="session")
def synthetic_bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a bag with the episodes "plain" (60 steps) and "steered" (40)."""
    folder = tmp_path_factory.mktemp("bags") / "synthetic"
    bag = SyntheticBag(folder)
    labels = {3: "hand above the basket", 7: "gripper closes", 11: ""}
    bag.write(
        START - 10,
        "/policy/catalogue",
        "vla_sae_ros/msg/FeatureCatalogue",
        sites=["backbone.1"],
        features=[
            bag.make(
                "vla_sae_ros/msg/FeatureInfo",
                site="backbone.1",
                feature=feature,
                label=label,
                observed_max=2.0,
                coverage=0.5,
            )
            for feature, label in labels.items()
        ],
    )
    describe(bag, START - 5)
    end = write_episode(bag, "plain", 0, START, 60)
    remark(bag, end, "", -1, "now with the edit")
    begin = end + 100_000_000
    end = write_episode(bag, "steered", 1, begin, 40)
    remark(bag, begin + 12 * WALL_PERIOD, "steered", 12, "the hand stops")
    bag.write(
        begin + 10 * WALL_PERIOD,
        "/policy/feature_heatmap",
        "sensor_msgs/msg/Image",
        header=bag.header(begin + 10 * PERIOD),
        height=4,
        width=4,
        encoding="rgb8",
        step=12,
        data=np.full(48, 9, np.uint8),
    )
    bag.writer.close()
    return folder


@pytest.fixture
def engine(loaded: LoadedPolicy, make_bundle: Callable[..., SaeBundle]) -> Iterator[PolicyEngine]:
    """The tiny policy with an SAE on a backbone and on an expert site."""
    from vla_sae_ros.policy.engine import PolicyEngine

    engine = PolicyEngine(loaded, [make_bundle(loaded, site) for site in SERVED_SITES])
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def untouched(loaded: LoadedPolicy) -> LoadedPolicy:
    """A copy of the tiny policy to which no engine is attached."""
    return copy.deepcopy(loaded)


@pytest.fixture
def load_once(
    monkeypatch: pytest.MonkeyPatch, untouched: LoadedPolicy, tiny_policy_folder: Path
) -> None:
    """Give the tiny policy to every command that replays, without reading its files again."""
    from vla_sae_ros.policy.load_options import DEFAULT_OPTIONS, LoadOptions
    from vla_sae_ros.study.replay import replay_engine

    def copied(folder: Path, device: str, options: LoadOptions) -> LoadedPolicy:
        assert (folder, device, options) == (tiny_policy_folder, "cpu", DEFAULT_OPTIONS)
        return copy.deepcopy(untouched)

    monkeypatch.setattr(replay_engine, "load_policy", copied)


@pytest.fixture
def policy_options(engine: PolicyEngine, tiny_policy_folder: Path, tmp_path: Path) -> list[str]:
    """The command line's options that name the policy of `engine` and its bundles."""
    for bundle in engine.bundles:
        bundle.save(tmp_path / "sae" / bundle.card.site)
    bundles = [str(tmp_path / "sae" / site) for site in SERVED_SITES]
    return ["--policy", str(tiny_policy_folder), "--bundles", *bundles]


@pytest.fixture
def replay_options(policy_options: list[str], load_once: None) -> list[str]:
    """The same options; the policy is not read from its files again."""
    return policy_options


@pytest.fixture
def serve(engine: PolicyEngine, tmp_path: Path) -> Callable[..., Path]:
    """Make a bag of steered episodes of `engine`; takes what ServedBag takes."""
    from served_bag import ServedBag  # brings torch, which most tests spare

    def make(*arguments: Any, **keywords: Any) -> Path:
        ServedBag(tmp_path / "bag", engine, *arguments, **keywords).record()
        return tmp_path / "bag"

    return make
