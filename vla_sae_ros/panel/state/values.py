"""What the panel shows, as plain values made from messages on the ROS thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.catalogue import shown_name
from vla_sae_ros.core.steering import Mode, Unit

FeatureName = tuple[str, int]
"""(site, feature)."""

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Site:
    """One site of the policy with an SAE, or with directions (kind: "directions")."""

    name: str
    dictionary_size: int
    can_steer: bool
    kind: str = "sae"


@dataclass(frozen=True)
class Example:
    """One frame at which a feature is most active."""

    data: bytes
    """A compressed picture (JPEG, PNG), as it came."""
    caption: str


@dataclass(frozen=True)
class CatalogueView:
    """Every feature of every site's dictionary, as columns of R rows, R the sum of their sizes.

    Row = first row of the site + feature; a feature that the policy's catalogue does not list is
    there, too, with empty texts and an observed maximum of 0.
    """

    policy_id: str
    bundle_ids: tuple[str, ...]
    """Per site."""
    sites: tuple[Site, ...]
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    descriptions: tuple[str, ...]
    label_sources: tuple[str, ...]
    tests: tuple[str, ...]
    """What steering studies found, a line each; the first words are the outcome."""
    outcomes: tuple[str, ...]
    """Of the newest test, one of core.catalogue.TEST_OUTCOMES; empty where nobody tested it."""
    tested_names: tuple[str, ...]
    """What it was called in the newest test, where that found it to act as named; else empty."""
    notes: tuple[str, ...]
    listed: npt.NDArray[np.bool_]
    """(R,) the policy's catalogue knows the feature."""
    observed_max: FloatArray
    """(R,) in the SAE's units; 0 for a dead or unknown feature."""
    coverage: FloatArray
    """(R,) share of episodes, 0 to 1; NaN when unknown. So are the next four."""
    density: FloatArray
    onset_count: FloatArray
    relative_run_length: FloatArray
    general_probability: FloatArray
    examples: Mapping[int, tuple[Example, ...]]
    """By row; rows without examples are absent."""
    stray: int = 0
    """Entries that name an unknown site or a feature beyond its dictionary: left out."""

    @property
    def size(self) -> int:
        """R."""
        return sum(site.dictionary_size for site in self.sites)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Per row: what to call it, see `shown_name`."""
        return tuple(map(shown_name, self.labels, self.label_sources, self.tested_names))

    def site_of(self, row: int) -> Site:
        """Return the site of a row."""
        for site in self.sites:
            if row < site.dictionary_size:
                return site
            row -= site.dictionary_size
        raise IndexError(f"row {row} beyond the last of {self.size}")

    def same_features(self, other: CatalogueView) -> bool:
        """Whether rows mean the same features: only what people wrote about them may differ."""
        return (self.policy_id, self.bundle_ids, self.sites) == (
            other.policy_id,
            other.bundle_ids,
            other.sites,
        )


@dataclass(frozen=True)
class Activations:
    """The active features of one site in one inference."""

    site: str
    episode_id: str
    time: float
    """[s] stamp of the observation."""
    inference: int
    """Counts within one policy process, from 1."""
    step: int
    revision: int
    index: IndexArray
    natural: FloatArray
    applied: FloatArray
    edit_norm_ratio: float
    capped: bool
    bypassed: bool
    inference_ms: float
    fvu: float = float("nan")
    policy_start_ns: int = 0
    """[ns since the epoch] when the policy began to serve; with another one `inference` and
    `revision` count anew."""


TOLD = "told"
"""Kind of the event that the policy was told another instruction, which is its `reason`."""


@dataclass(frozen=True)
class EventView:
    """One line of the audit trail of the steering and of the instruction."""

    time: float
    """[s] stamp: of the newest observation."""
    kind: str
    owner: str
    site: str
    """Empty where the event concerns no single edit."""
    feature: int
    from_value: float
    """Natural units; NaN = natural."""
    to_value: float
    reason: str
    revision: int
    received: float = 0.0
    """[s since the epoch] wall time at which the panel heard of it; 0 = not known."""
    unit: str = ""
    """Of the values, in words; empty = natural units."""
    node: str = ""
    """Full name of the node that asked, as far as the graph tells."""

    @property
    def of_feature(self) -> bool:
        """Whether it concerns one edit; a cap concerns all of a site's."""
        return bool(self.site) and self.kind != "capped"


@dataclass(frozen=True)
class EpisodeView:
    """What the bridge is doing."""

    episode_id: str
    suite: str
    task: int
    instruction: str
    step: int
    max_steps: int
    status: str
    detail: str
    realtime: bool
    missed_deadlines: int
    held_ticks: int
    dropped_chunks: int
    running: bool = False
    """An episode is under way: resetting, running or holding."""
    time: float = 0.0
    """[s] stamp of the newest observation."""
    start: float = 0.0
    """[s] stamp of the episode's first observation."""
    init_state: int = -1
    seed: int = 0


@dataclass(frozen=True)
class RecordingView:
    """What the recorder is doing."""

    status: str
    """"idle", "recording", "closed" or "FAILED"."""
    uri: str
    elapsed: float
    """[s]."""
    size: int
    """[bytes]."""
    messages: int
    dropped: int
    detail: str

    @property
    def recording(self) -> bool:
        """A bag is being written now."""
        return self.status == "recording"


@dataclass(frozen=True)
class Picture:
    """One picture: (height, width, 3) uint8 RGB."""

    time: float
    """[s] stamp of the observation."""
    pixels: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class TakeoverView:
    """Whether a person or the policy commands."""

    taken_over: bool
    owner: str
    """Client that has taken over."""
    silent: bool
    """It gives no valid command: the arm holds still."""
    refused: int
    """Commands of persons that were refused."""
    refusal: str
    """Why the last one was."""


@dataclass(frozen=True)
class RobotView:
    """What a robot's bridge and its safety envelope are doing."""

    status: str
    """"OFFLINE", "disabled", "ENABLED" or "STOPPED"."""
    reason: str
    """What stopped it, a short name."""
    detail: str
    robot: str
    driver: str
    owner: str
    """Who holds the enable."""
    lease_left: float
    """[s]."""
    ticks: int
    late_ticks: int
    late_p99: float
    """[s]."""
    sent: int
    limited: int
    refused: int
    held: int
    stops: int

    @property
    def enabled(self) -> bool:
        """Commands move the arm."""
        return self.status == "ENABLED"


@dataclass(frozen=True)
class EpisodeGoal:
    """What to run; the fields of RunEpisode.action."""

    suite: str
    task: int
    init_state: int = 0
    seed: int = 0
    instruction: str = ""
    max_steps: int = 0
    clock: str = ""


@dataclass(frozen=True)
class RequestResult:
    """How a request ended, in words."""

    accepted: bool
    text: str
    ticket: int = 0
    """Of the request, as the sending method returned it."""


UNIT_WORDS = {Unit.NATURAL: "SAE units", Unit.OBSERVED_MAX: "x max", Unit.RESIDUAL_NORM: "x norm"}
MODE_WORDS = {
    Mode.CLAMP: "clamp",
    Mode.ADD: "add",
    Mode.SCALE: "scale",
    Mode.PROJECT_OUT: "project out",
}
