"""The parts of a study file; `study_file.Study` is the whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vla_sae_ros.core.settings import at_least, one_of, refuse
from vla_sae_ros.core.steering.condition import FEATURE, Condition
from vla_sae_ros.core.steering.control import Control
from vla_sae_ros.sim.splits import EVALUATION_SEED
from vla_sae_ros.study.experiment.records.table import ARMS

MODES = ("add", "clamp", "scale", "project_out")
UNITS = ("residual_norm", "observed_max")
EVENTS = ("start", "grasp", "close")
NECESSITY_KINDS = ("top_general", "random_general", "random_memorized", "random_any", "chosen")
LARGEST = 20.0


@dataclass(frozen=True)
class Features:
    """Features of one site; exactly one of the ways to choose them.

    ids: these. labels: these, with what they are called. top_general: the n most general, by the
    classifier's probability. random_general, random_memorized: n of that class, drawn at random.
    labelled: those with a label in the catalogue. all: every feature that is not dead.
    """

    site: str
    ids: tuple[int, ...] = ()
    labels: dict[int, str] = field(default_factory=dict)
    top_general: int = 0
    random_general: int = 0
    random_memorized: int = 0
    labelled: bool = False
    all: bool = False

    def __post_init__(self) -> None:
        ways = (
            "ids",
            "labels",
            "top_general",
            "random_general",
            "random_memorized",
            "labelled",
            "all",
        )
        chosen = [way for way in ways if getattr(self, way)]
        if len(chosen) != 1:
            refuse("features", chosen or "nothing chosen", f"exactly one of {', '.join(ways)}")


@dataclass(frozen=True)
class Changes:
    """What is done to a feature, at several strengths.

    unit: of an add or a clamp. strengths: signed; of a scale: factors; a project_out has none.
    """

    mode: str = "add"
    unit: str = "residual_norm"
    strengths: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        one_of("changes.mode", self.mode, MODES)
        one_of("changes.unit", self.unit, UNITS)
        if self.mode == "project_out":
            if self.strengths:
                refuse("changes.strengths", self.strengths, "none with project_out")
        elif not self.strengths:
            refuse("changes.strengths", [], "at least one")
        for strength in self.strengths:
            if not abs(strength) <= LARGEST:
                refuse("changes.strengths", strength, f"-{LARGEST:g} to {LARGEST:g}")


@dataclass(frozen=True)
class Window:
    """Control steps [first, to) from an event on in which a change acts; to = -1: to the end.

    after: "start" of the episode, the first "grasp" (an object touches both finger pads), or the
    first "close" (the policy commands the gripper to close). when: inside of them it acts only
    while this holds, as an edit's condition does live. It decides at each inference. control:
    the share of the change's strength that acts, from 0 to 1, is set by this controller, as the
    strength of an edit is live; it starts from 0.
    """

    after: str = "start"
    first: int = field(default=0, metadata={"key": "from"})
    to: int = -1
    when: Condition | None = None
    control: Control | None = None

    def __post_init__(self) -> None:
        one_of("windows.after", self.after, EVENTS)
        if (
            self.control is not None
            and not 0.0 <= self.control.bounds[0] <= 1.0 >= self.control.bounds[1]
        ):
            refuse("bounds of `windows.control`", self.control.bounds, "within 0 to 1")
        if self.first < 0 or not (self.to == -1 or self.to > self.first):
            refuse("windows", (self.first, self.to), "0 <= from < to, or to = -1: until the end")

    @property
    def features_read(self) -> tuple[tuple[str, int], ...]:
        """Site and id of the features that decide how far the change acts."""
        both = (one for one in (self.when, self.control) if one is not None)
        return tuple((one.site, one.feature) for one in both if one.reading == FEATURE)


WHOLE_EPISODE = Window()


@dataclass(frozen=True)
class TaskSet:
    """Tasks of one suite, each from `rollouts` initial states.

    suite: empty: libero_object, or the environment's own. tasks: "all", "0,6" or "0:butter_1"
    (another object to bring in that scene). init_states: "40-49", gone round; empty: these in
    LIBERO, "0" where the seed decides the scene. move: every object is shifted by up to this many
    metres in x and y.
    exchange: two objects that change places. instruction: told instead of the task's, in all arms.
    """

    suite: str = ""
    tasks: str = "all"
    init_states: str = ""
    rollouts: int = 10
    first_seed: int = EVALUATION_SEED
    move: float = 0.0
    exchange: tuple[str, ...] = ()
    instruction: str | None = None

    def __post_init__(self) -> None:
        at_least("places.rollouts", self.rollouts, 1)
        at_least("places.first_seed", self.first_seed, 0)
        if not 0.0 <= self.move < 1.0:
            refuse("places.move", self.move, "0 to 1 [m]")
        if len(self.exchange) not in (0, 2):
            refuse("places.exchange", self.exchange, "two objects, or none")


@dataclass(frozen=True)
class Controls:
    """How many controls each site gets. seed: of every random choice in the study."""

    rows: int = 3
    gaussian: int = 3
    alive: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rows", "gaussian", "alive", "seed"):
            at_least(f"controls.{name}", getattr(self, name), 0)


@dataclass(frozen=True)
class MeanDifference:
    """The mean-difference direction: mean activation of one kind of episodes minus another.

    activations: a folder of `vla-sae collect` with the sites in question, mean-pooled. by:
    "success" (successes minus failures) or "instruction" (those told `a` minus those told `b`).
    """

    activations: Path
    by: str = "success"
    a: str = ""
    b: str = ""

    def __post_init__(self) -> None:
        one_of("mean_difference.by", self.by, ("success", "instruction"))
        told = {self.a, self.b} - {""}
        if len(told) != (2 if self.by == "instruction" else 0):
            refuse(
                "mean_difference",
                (self.a, self.b),
                "two different a and b with by: instruction, neither with by: success",
            )


@dataclass(frozen=True)
class Donor:
    """An episode whose activations are played into others: a plain rollout, made anew.

    task: one, "1" or "0:butter_1". suite: empty: that of the first place. init_state: None: the
    first of the environment's for evaluation.
    """

    task: str
    suite: str = ""
    init_state: int | None = None
    seed: int = EVALUATION_SEED

    def __post_init__(self) -> None:
        at_least("injection.donors.seed", self.seed, 0)
        if self.init_state is not None:
            at_least("injection.donors.init_state", self.init_state, 0)


@dataclass(frozen=True)
class InjectionArms:
    """Arms "injection": every donor's stream at every one of the sites, one arm each.

    tokens: groups of tokens that are replaced; empty: all of the site. Instructions of other
    lengths have other numbers of language tokens, which cannot be replaced.
    """

    sites: tuple[str, ...]
    donors: tuple[Donor, ...]
    tokens: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("sites", "donors"):
            at_least(f"injection.{name}, how many", len(getattr(self, name)), 1)


@dataclass(frozen=True)
class Necessity:
    """P3: so many features of the site are projected out together.

    kinds: which sets there are. draws: how many sets of each random kind; no two share a feature.
    ids: the set of the kind "chosen"; random ones have as many, and none of these.
    """

    site: str
    features: int = 4
    ids: tuple[int, ...] = ()
    kinds: tuple[str, ...] = ("top_general", "random_general", "random_memorized")
    draws: int = 1

    def __post_init__(self) -> None:
        at_least("necessity.features", self.features, 1)
        at_least("necessity.draws", self.draws, 1)
        for kind in self.kinds or ("",):
            one_of("necessity.kinds", kind, NECESSITY_KINDS)
        if bool(self.ids) != ("chosen" in self.kinds) or len(set(self.ids)) != len(self.ids):
            refuse("necessity.ids", self.ids, "each once, with the kind chosen and only with it")


@dataclass(frozen=True)
class Layers:
    """P4: Gaussian directions added at every site (or these), at `strengths` times each token's
    own norm, in so many episodes of each task."""

    sites: tuple[str, ...] = ()
    directions: int = 10
    strengths: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        at_least("layers.directions", self.directions, 1)
        if not self.strengths or not all(0 < abs(one) <= LARGEST for one in self.strengths):
            refuse("layers.strengths", self.strengths, f"at least one, up to {LARGEST:g}, not 0")


@dataclass(frozen=True)
class Observations:
    """P1: what the open loop looks at: every `every` control steps of plain rollouts of the places.

    noise_seeds: each observation is answered once from each of them.
    """

    count: int = 64
    every: int = 20
    noise_seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        at_least("observations.count", self.count, 1)
        at_least("observations.every", self.every, 1)
        if not self.noise_seeds or min(self.noise_seeds) < 0:
            refuse("observations.noise_seeds", self.noise_seeds, "at least one, from 0 on")


@dataclass(frozen=True)
class Keep:
    """What is kept beside the numbers: videos of these arms, of the first n pairs of each task."""

    videos: tuple[str, ...] = ()
    pairs: int = 1

    def __post_init__(self) -> None:
        for arm in self.videos:
            one_of("keep.videos", arm, ARMS)
        at_least("keep.pairs", self.pairs, 1)
