"""Environments with conventions of their own: a contract says what their policies see and do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.contract import Contract, Entry, Source
from vla_sae_ros.core.errors import ContractError, complaint
from vla_sae_ros.sim.environment import Environment, FloatArray, Observation

PICTURES, VECTORS = "observation/image/", "observation/"
IMAGE, JOINTS = "sensor_msgs/msg/Image", "sensor_msgs/msg/JointState"


@dataclass(frozen=True)
class VectorObservation(Observation):
    """Numbers under names, of an environment that does not say where its hand or its joints are.

    Hand and fingers are NaN: unknown; there are no joints.
    """

    vectors: Mapping[str, FloatArray] = field(default_factory=dict)
    """Name -> (n,), for example "state"."""

    @classmethod
    def of(cls, vectors: Mapping[str, FloatArray]) -> Self:
        """Return the observation of these numbers."""
        hand, turn, fingers = (np.full(size, np.nan) for size in (3, 4, 2))
        return cls(np.zeros(0), hand, turn, fingers, vectors)


@runtime_checkable
class OwnContract(Protocol):
    """An environment whose policies do not see and act as LIBERO's do; it gives VectorObservations.

    Its `step` takes what `core.contract.bounded_action` gives for the contract's action.
    """

    @property
    def contract(self) -> Contract: ...

    @property
    def vectors(self) -> Mapping[str, int]:
        """Names of the numbers that it shows, and how many each has."""
        ...

    @property
    def instruction(self) -> str:
        """What the present episode's policy is told, where its task does not say."""
        ...


def instruction_of(environment: Environment, planned: str) -> str:
    """Return the planned instruction; where that is empty, the environment's since its reset."""
    if planned or not isinstance(environment, OwnContract):
        return planned
    return environment.instruction


def components(name: str, width: int) -> tuple[str, ...]:
    """Return the names of a vector's numbers, as its JointState message has them."""
    return tuple(f"{name}_{number}" for number in range(width))


def frame_of(environment: Environment, contract: Contract, observation: Observation) -> dict:
    """Return what a policy sees: feature -> (H, W, 3) uint8 picture or (n,) float vector.

    The same as comes of the messages that the bridge publishes. Raises ContractError where the
    contract names something that the environment does not show.
    """
    assert isinstance(observation, VectorObservation)
    return {
        entry.key: _value(entry, environment, observation.vectors)
        for entry in contract.observations
    }


def _value(
    entry: Entry, environment: Environment, vectors: Mapping[str, FloatArray]
) -> npt.NDArray[Any]:
    parts = []
    for source in entry.sources:
        value: npt.NDArray[Any] = (
            environment.render(_camera(source, environment.cameras))
            if entry.is_image
            else _numbers(source, vectors)
        )
        for operator in source.apply:
            value = operator.forward(value)
        parts.append(value)
    if entry.is_image:
        return np.ascontiguousarray(parts[0])
    return np.concatenate(parts).astype(entry.sources[0].channel.dtype)


def _camera(source: Source, cameras: Sequence[str]) -> str:
    camera = source.channel.topic.removeprefix(PICTURES)
    if source.channel.type != IMAGE or camera not in cameras:
        raise _not_shown(source, [f"{PICTURES}{one}" for one in cameras])
    return camera


def _numbers(source: Source, vectors: Mapping[str, FloatArray]) -> FloatArray:
    name = source.channel.topic.removeprefix(VECTORS)
    if source.channel.type != JOINTS or name not in vectors:
        raise _not_shown(source, [f"{VECTORS}{one}" for one in vectors])
    named = dict(zip(components(name, len(vectors[name])), vectors[name], strict=True))
    wanted = [part.removeprefix("position.") for part in source.select]
    unknown = [part for part in wanted if part not in named]
    if unknown:
        raise ContractError(complaint(f"{source.channel.topic} has no", unknown, ", ".join(named)))
    return np.array([named[part] for part in wanted], np.float64)


def _not_shown(source: Source, offered: Iterable[str]) -> ContractError:
    return ContractError(
        complaint(
            "The environment does not publish",
            source.channel.topic,
            ", ".join(offered) or "nothing",
        )
    )


def contract_document(
    robot_type: str,
    fps: float,
    pictures: Mapping[str, str],
    vectors: Mapping[str, tuple[str, int]],
    low: FloatArray,
    high: FloatArray,
) -> dict[str, Any]:
    """Return the contract of an environment, as its YAML file has it.

    Args:
        robot_type: any words.
        fps: control steps per second.
        pictures: policy feature -> camera.
        vectors: policy feature -> (name, width).
        low, high: (A,) bounds of an action; infinite ones do not bound.
    """
    observations: dict[str, Any] = {
        key: {"channel": _channel(PICTURES + camera, IMAGE), "align": _exactly()}
        for key, camera in pictures.items()
    }
    for key, (name, width) in vectors.items():
        observations[key] = {
            "channel": _channel(VECTORS + name, JOINTS),
            "align": _exactly(),
            "select": list(components(name, width)),
        }
    return {
        "robot_type": robot_type,
        "robot_interface": "ros2",
        "fps": fps,
        "observations": observations,
        "actions": {"action": list(_actions(low, high))},
        "tasks": {
            "task": {
                "channel": {
                    "topic": "episode",
                    "type": "vla_sae_ros/msg/EpisodeState",
                    "qos": {"durability": "transient_local", "depth": 1},
                },
                "select": ["instruction"],
            }
        },
    }


def topic_name(text: str) -> str:
    """Return a text as one name of a ROS topic."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    return f"_{name}" if name[:1].isdigit() else name


def _actions(low: FloatArray, high: FloatArray) -> Iterable[dict[str, Any]]:
    """Yield a source for every run of numbers with the same bounds."""
    bounds = [(float(least), float(most)) for least, most in zip(low, high, strict=True)]
    for (least, most), run in groupby(range(len(bounds)), key=lambda number: bounds[number]):
        source: dict[str, Any] = {
            "channel": {
                "topic": "executed_action",
                "type": "vla_sae_ros/msg/ExecutedAction",
                "safety": "zeros",
            },
            "align": {"strategy": "hold", "timeline": "header"},
            "select": [f"action.{number}" for number in run],
        }
        if np.isfinite([least, most]).all():
            source["apply"] = [{"clamp": {"min": least, "max": most}}]
        yield source


def _channel(topic: str, kind: str) -> dict[str, Any]:
    return {"topic": topic, "type": kind, "qos": {"reliability": "reliable", "depth": 5}}


def _exactly() -> dict[str, Any]:
    return {"strategy": "asof", "timeline": "header", "tolerance_ms": 0}
