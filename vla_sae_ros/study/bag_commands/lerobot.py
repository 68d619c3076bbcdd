"""A bag as a LeRobotDataset: one frame per control tick, observations by the contract."""

from __future__ import annotations

import shutil
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets.utils import disable_progress_bars
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from vla_sae_ros.bags.opened_bag import OpenedBag, messages, open_bag
from vla_sae_ros.bags.pictures import COMPRESSED, COMPRESSED_TYPE, RAW_TYPE
from vla_sae_ros.bags.reading import timeline_of
from vla_sae_ros.bags.recorded_frames import Frame, RecordedFrames
from vla_sae_ros.bags.storage.findings import Findings
from vla_sae_ros.bags.timeline import Timeline, commander_of, stamp_of
from vla_sae_ros.core.commander import Commander
from vla_sae_ros.core.contract import Contract, FrameBuilder, load_contract
from vla_sae_ros.core.errors import ObservationError, RecordingError, complaint
from vla_sae_ros.study.bag_commands.lerobot_features import features_of, vector

AGE, REVISION = "observation.age", "steering_revision"
INTERVENTION = "intervention"
"""lerobot's own name, that of its DAgger strategy, for a frame in which a person commanded."""
_OWN = {
    AGE: {"dtype": "int64", "shape": (1,), "names": ["ticks"]},
    REVISION: {"dtype": "int64", "shape": (1,), "names": ["revision"]},
    INTERVENTION: {"dtype": "bool", "shape": (1,), "names": None},
}


@dataclass(frozen=True)
class Tick:
    """One executed action and the observation before it."""

    action: Any
    """ExecutedAction message."""
    received_ns: int
    stamp_ns: int
    """Of the observation."""
    age: int
    """[ticks] between the observation and the action."""


def export_lerobot(
    folder: Path, output: Path, contract_file: Path, max_age: int, namespace: str | None = None
) -> tuple[str, Findings]:
    """Write the dataset into the new folder `output`; return in words what is in it.

    The findings say what of the bag could not be read.

    Pictures are stored without loss. Each frame has the contract's observations, the executed
    action, `observation.age`, `steering_revision` and `intervention` (a person had taken over); its
    task is the episode's instruction.

    Raises RecordingError when the bag has no pictures, or when an observation is older than
    `max_age` [control ticks] at any executed tick; nothing is written then.
    """
    contract = load_contract(contract_file)
    with open_bag(folder, namespace) as bag:
        frames = RecordedFrames(bag, contract)
        timeline = timeline_of(bag)
        stamps = _observation_stamps(bag, contract, timeline)
        ticks = [
            tick
            for name in timeline.spans
            for tick in _ticks(bag, timeline, name, stamps[name], max_age)
        ]
        if not ticks:
            raise RecordingError(
                f"the bag {folder} has no executed action: there is nothing to export."
            )
        try:
            dataset = _write(frames.of(ticks), output, contract, timeline, bag.findings)
        except BaseException:
            shutil.rmtree(output, ignore_errors=True)
            raise
        said = (
            f"{dataset.num_frames} frames of {dataset.num_episodes} episodes at {dataset.fps} Hz "
            f"in {output}"
        )
        return said, bag.findings


def _write(
    frames: Iterable[tuple[Tick, Frame | ObservationError]],
    output: Path,
    contract: Contract,
    timeline: Timeline,
    findings: Findings,
) -> LeRobotDataset:
    disable_progress_bars()
    dataset: LeRobotDataset | None = None
    episode, why = "", "no observation"
    for tick, frame in frames:
        name = tick.action.episode_id
        if isinstance(frame, ObservationError):
            why = f"the frame of a tick has no whole observation: {frame}"
            findings.leave_out("executed_action", why, (name, tick.action.step))
            continue
        if dataset is None:
            dataset = _create(output, contract, frame, tick)
            size = len(tick.action.action)
        if len(tick.action.action) != size:
            why = f"the action has {len(tick.action.action)} numbers, others have {size}"
            findings.leave_out("executed_action", why, (name, tick.action.step))
            continue
        if episode and name != episode:
            dataset.save_episode()
        episode = name
        task = timeline.spans[name].instruction_at(tick.action.step)
        dataset.add_frame(_entry(frame, tick) | {"task": task})
    if dataset is None:
        raise RecordingError(f"nothing can be exported: {why}")
    dataset.save_episode()
    dataset.finalize()
    return dataset


def _ticks(
    bag: OpenedBag, timeline: Timeline, episode: str, stamps: list[int], max_age: int
) -> list[Tick]:
    """Return the episode's executed actions, each with the newest observation before it.

    Raises RecordingError when one of those is older than max_age [control ticks].
    """
    rate = timeline.spans[episode].control_rate
    ticks = []
    for received, message in messages(bag, "executed_action"):
        if message.episode_id == episode:
            place = bisect_right(stamps, stamp_of(message)) - 1
            stamp = stamps[max(place, 0)] if stamps else 0
            age = round((stamp_of(message) - stamp) * 1e-9 * rate)
            ticks.append(Tick(message, received, stamp, age if place >= 0 else -1))
    _check(episode, ticks, max_age)
    return ticks


def _observation_stamps(
    bag: OpenedBag, contract: Contract, timeline: Timeline
) -> dict[str, list[int]]:
    """Return the stamps [ns] of the contract's rarest topic, ascending, by episode."""
    by_topic = []
    for channel in FrameBuilder(contract).channels:
        found: dict[str, set[int]] = {episode: set() for episode in timeline.spans}
        recorded = [*bag.of(channel.topic, channel.type)]
        if channel.type == RAW_TYPE:
            recorded += bag.of(channel.topic + COMPRESSED, COMPRESSED_TYPE)
        if recorded:
            for _, received, message in bag.decoded(recorded):
                stamp = stamp_of(message) if hasattr(message, "header") else received
                if (place := timeline.place(stamp, received)) is not None:
                    found[place[0]].add(stamp)
        by_topic.append(found)
    return {
        episode: min((sorted(found[episode]) for found in by_topic), key=len)
        for episode in timeline.spans
    }


def _check(episode: str, ticks: list[Tick], max_age: int) -> None:
    bad = next((tick for tick in ticks if not 0 <= tick.age <= max_age), None)
    if bad is None:
        return
    oldest = max(tick.age for tick in ticks)
    age = "none" if bad.age < 0 else f"one {bad.age} ticks old"
    raise RecordingError(
        complaint(
            f"the observation at tick {bad.action.step} of {episode}",
            age,
            f"one at most {max_age} ticks old",
            "Record with the bridge's image_rate at the control rate"
            + (f", or take older ones with --max-age {oldest}." if oldest > max_age else "."),
        )
    )


def _create(output: Path, contract: Contract, frame: Frame, tick: Tick) -> LeRobotDataset:
    if contract.fps != int(contract.fps):
        raise RecordingError(complaint("the contract's fps", contract.fps, "whole numbers"))
    features = dict(features_of(frame)) | _OWN
    features["action"] = vector(len(tick.action.action))
    return LeRobotDataset.create(
        f"vla_sae_ros/{output.name}",
        int(contract.fps),
        features,
        root=output,
        robot_type=contract.robot_type,
        use_videos=False,
    )


def _entry(frame: Frame, tick: Tick) -> dict[str, Any]:
    own = {
        AGE: np.array([tick.age]),
        REVISION: np.array([tick.action.steering_revision], np.int64),
        INTERVENTION: np.array([commander_of(tick.action) is Commander.PERSON]),
        "action": np.asarray(tick.action.action, np.float32),
    }
    return {
        key: value if value.ndim == 3 else value.astype(np.float32) for key, value in frame.items()
    } | own
