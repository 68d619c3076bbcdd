"""The layout of a folder of collected activations.

    collection.json                     what was collected: policy, sites, pooling
    episodes.jsonl                      one line per finished episode, with the shards it is in
    <site>/<episode>-<part>.safetensors `activations` (rows, d) float32 of one episode
    <site>/<episode>-<part>.jsonl       one line per inference: StepRecord

A shard belongs to one episode. An episode counts once its line in episodes.jsonl is complete, and
that line is written last: killing the writer at any moment loses the current episode and no other.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from vla_sae_ros.core.errors import ConfigurationError, VlaSaeError, complaint
from vla_sae_ros.core.journal import read_journal
from vla_sae_ros.core.json_document import parse_json

COLLECTION_FILE = "collection.json"
EPISODES_FILE = "episodes.jsonl"
TENSOR = "activations"
POOLINGS = ("mean", "token")
_FORMAT = 1


class CollectionError(VlaSaeError):
    """Activations could not be written or read; what was finished before is intact."""


@dataclass(frozen=True)
class CollectedSite:
    """How one site was read.

    width: d of the residual stream. pooling: "mean" (one vector per inference) or "token".
    token_groups: the groups of tokens that were read, e.g. camera, language, state, action.
    """

    width: int
    pooling: str
    token_groups: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raise ConfigurationError naming the first field that cannot be."""
        _require("width of a site", self.width, type(self.width) is int and self.width > 0, "1 up")
        _require("pooling of a site", self.pooling, self.pooling in POOLINGS, POOLINGS)
        groups = self.token_groups
        _require("token groups of a site", groups, len(groups) > 0, "at least one name")


@dataclass(frozen=True)
class Collection:
    """What a folder holds: the content of collection.json.

    control_rate: [Hz] of the control steps that `StepRecord.step` counts. source: which recorded
    episodes it is of and how often they are asked about; empty where nobody said. state_names: what
    the numbers of `StepRecord.state` are, in their order; empty where nobody said. policy_batch:
    how many environments one inference was for at most; larger matrix products round otherwise.
    compiled: whether torch.compile made the policy's graph, which rounds otherwise, too. inputs:
    policy feature -> what the source calls it; empty where nobody said.
    """

    policy_id: str
    policy_name: str
    sites: dict[str, CollectedSite]
    control_rate: float
    source: str = ""
    state_names: tuple[str, ...] = ()
    policy_batch: int = 1
    compiled: bool = False
    inputs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ConfigurationError naming the first field that cannot be."""
        for name in ("policy_id", "policy_name"):
            value = getattr(self, name)
            _require(f"{name} of the collection", value, bool(value), "non-empty text")
        _require("sites of the collection", self.sites, bool(self.sites), "at least one")
        rate = self.control_rate
        _require("control rate [Hz]", rate, math.isfinite(rate) and rate > 0, "above 0")
        batch = self.policy_batch
        _require("policy batch", batch, type(batch) is int and batch > 0, "1 up")
        _require("compiled", self.compiled, isinstance(self.compiled, bool), "true or false")

    def to_json(self) -> str:
        """Return the text of collection.json."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def load(cls, folder: Path) -> Collection:
        """Read collection.json. Raises ConfigurationError when `folder` holds no collection."""
        path = folder / COLLECTION_FILE
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigurationError(
                f"{folder} is not a folder of activations: cannot read {COLLECTION_FILE} "
                f"({error.strerror}). Collect some first."
            ) from error
        except ValueError as error:
            raise ConfigurationError(f"{path} is not JSON: {error}.") from error
        if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
            raise ConfigurationError(f"{path} is not in format {_FORMAT}.")
        try:
            sites = {
                name: CollectedSite(**{**site, "token_groups": tuple(site["token_groups"])})
                for name, site in content.pop("sites").items()
            }
            names = tuple(content.pop("state_names", ()))
            return cls(**content, sites=sites, state_names=names)
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(f"{path} has a missing or unknown field: {error}.") from error


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One inference: where its rows are from.

    step: control steps executed when the observation was made. rows: 1 when pooled, else tokens.
    state and action: the policy's own state input and the first action of its chunk, unnormalised.
    residual_norm: mean ||x|| over the tokens in scope. object_positions: name to (3,) [m], world.
    """

    episode_id: str
    step: int
    rows: int = 1
    task: str = ""
    instruction: str = ""
    seed: int | None = None
    state: tuple[float, ...] | None = None
    action: tuple[float, ...] | None = None
    residual_norm: float | None = None
    object_positions: dict[str, tuple[float, ...]] = field(default_factory=dict)

    @classmethod
    def from_context(cls, context: Mapping[str, Any], rows: int) -> StepRecord:
        """Copy the context of one inference; arrays become tuples.

        Raises CollectionError for an unknown key, a missing episode_id or step, or a number that
        is not finite.
        """
        known = {one.name for one in fields(cls)} - {"rows"}
        unknown = set(context) - known
        missing = {"episode_id", "step"} - set(context)
        if unknown or missing:
            got = f"unknown {sorted(unknown)}, missing {sorted(missing)}"
            raise CollectionError(complaint("context of the activations", got, sorted(known)))
        values = dict(context)
        for name in ("state", "action"):
            if values.get(name) is not None:
                values[name] = _numbers(name, values[name])
        objects = values.get("object_positions") or {}
        values["object_positions"] = {name: _numbers(name, at) for name, at in objects.items()}
        if values.get("residual_norm") is not None:
            (values["residual_norm"],) = _numbers("residual_norm", [values["residual_norm"]])
        return cls(**{**values, "step": int(values["step"]), "rows": rows})

    @classmethod
    def from_json(cls, line: str) -> StepRecord:
        """Read one line of a shard's index; a collection has many, so equal texts are shared.

        Raises ValueError or TypeError for anything else.
        """
        values = json.loads(line)
        if not isinstance(values, dict):
            raise ValueError(f"{values!r} is no record")
        step, rows = values.get("step"), values.get("rows", 1)
        if type(step) is not int or type(rows) is not int or rows < 1:
            raise ValueError(f"step is {step!r}, rows is {rows!r}")
        for name in ("episode_id", "task", "instruction"):
            if name in values:
                values[name] = sys.intern(values[name])
        return cls(**values)

    def to_json(self) -> str:
        """Return one line of a shard's index."""
        return json.dumps(asdict(self), allow_nan=False) + "\n"


@dataclass(frozen=True)
class EpisodeRecord:
    """One finished episode. shards: per site the file stems and their numbers of rows.

    success: None when nobody said. complete: False when collection stopped in the middle of it.
    """

    number: int
    episode_id: str
    task: str
    instruction: str
    seed: int | None
    success: bool | None
    complete: bool
    steps: int
    shards: dict[str, list[tuple[str, int]]]


def read_episodes(folder: Path) -> list[EpisodeRecord]:
    """Return the finished episodes. Raises CollectionError for a damaged line."""
    remedy = "Remove the line; its episode will be collected again."
    read = read_journal(folder / EPISODES_FILE, _episode, remedy, CollectionError)
    return list(read.entries)


_KINDS: Mapping[str, tuple[type, ...]] = {
    "number": (int,),
    "episode_id": (str,),
    "task": (str,),
    "instruction": (str,),
    "success": (bool, type(None)),
    "complete": (bool,),
    "shards": (dict,),
}


def _episode(line: Any) -> EpisodeRecord:
    """Return a line's episode; people edit these lines. Raises ValueError or TypeError."""
    record = EpisodeRecord(**line)
    for name, kinds in _KINDS.items():
        value = getattr(record, name)
        if type(value) not in kinds:
            raise ValueError(f"{name} is {value!r}")
    for site, parts in record.shards.items():
        if not all(type(stem) is str and type(rows) is int for stem, rows in parts):
            raise ValueError(f"shards of {site} are {parts!r}")
    return record


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    array = np.asarray(values, np.float64).reshape(-1)
    if not np.isfinite(array).all():
        raise CollectionError(complaint(f"{name} of the observation", array.tolist(), "finite"))
    return tuple(array.tolist())


def _require(what: str, got: object, fine: bool, allowed: object) -> None:
    if not fine:
        raise ConfigurationError(complaint(what, got, allowed))
