"""Do the features of an old task make a narrow policy go for the old thing?

    python tools/data_and_generality.py run out/data_and_generality          # 3x5-0 is the policy
    python tools/old_task_rows.py choose out/data_and_generality/3x5-0 --task 0 --out out/old_0.yaml
    vla-sae evaluate out/old_0.yaml --out out/studies/old_0                  # and tasks 1 and 2
    python tools/old_task_rows.py table out/studies/old_0 out/studies/old_1 out/studies/old_2

`choose` picks the four features that are most specific to a task at the beginning of its episodes
and writes a study file, which says what will be compared: they are projected out where LIBERO-PRO
has exchanged places, and so are sets of other features. `table` prints the comparisons, and how
often the hand comes down at the named object, and at the one that now stands in its old place.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vla_sae_ros.activations.codes import coded_episodes
from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.core.errors import ConfigurationError, RecordingError, VlaSaeError, complaint
from vla_sae_ros.core.whole_file import write_whole
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sim.libero import LiberoEnvironment
from vla_sae_ros.sim.splits import EVALUATION_INIT_STATES
from vla_sae_ros.sim.suites import find_task, target_and_goal
from vla_sae_ros.study.experiment.measure.bootstrap import mean_interval
from vla_sae_ros.study.experiment.measure.paired_tests import holm, wilcoxon
from vla_sae_ros.study.experiment.records.files import Trajectory
from vla_sae_ros.study.experiment.records.table import Row, read_table
from vla_sae_ros.study.features.task_objects import task_objects

CHOSEN, AGAINST = "chosen", ("random_any", "random_general")
SITE, FEATURES, BEGINNING = "expert.1", 4, 20
STUDY = """\
# The features of expert.1 that are most specific to task {task} at the beginning of its episodes,
# projected out where LIBERO-PRO has exchanged places. Written by tools/old_task_rows.py before any
# rollout.
#
# A rollout is right if the first object between the fingers is the one that the instruction names.
# Outcome of a pair (task, initial state, seed) and kind: the share of its sets with which the
# rollout is right. Primary, over the pairs of all tasks whose plain rollout is not right: chosen
# minus any class, and chosen minus general; mean with its BCa interval, Wilcoxon's signed ranks,
# Holm over the two. The claim is supported if both are positive with p < 0.05. At least 30 such
# pairs are wanted; with fewer, more seeds are run before anything is compared. Secondary, without
# correction: the same over all pairs, and success instead of right.
name: old_task_{task}
policy: {policy}
bundles: [{bundle}]
protocols: [P3]
necessity:
  site: {site}
  ids: [{ids}]
  kinds: [chosen, random_any, random_general]
  draws: 2
controls: {{seed: {task}}}
places:
  - {{suite: libero_object_swap, tasks: "{task}", init_states: 40-49, rollouts: 10}}
  - {{suite: libero_object_swap, tasks: "{task}", init_states: 40-49, rollouts: 10, move: 0.05}}
max_steps: 200
"""


Outcomes = dict[str, dict[str, npt.NDArray[np.float64]]]
"""Outcomes of the sets of each kind and pair."""
Rollout = tuple[Row, Trajectory]


@dataclass(frozen=True)
class Comparison:
    """The chosen set minus another kind's, over pairs; p is not corrected."""

    against: str
    pairs: int
    mean: float
    low: float
    high: float
    p: float


def most_specific(own: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> list[int]:
    """Return the features whose activation is most specific to a task, most specific first.

    The order is by the mean over the task's episodes minus the largest mean of another task, in
    units of the largest activation; features that are silent in half of the task's episodes or more
    are left out.

    Args:
        own: (n, F), mean activation at the beginning of each of the task's episodes.
        others: (tasks, F), the same, mean over the episodes of each other task.
    """
    largest = np.maximum(own.max(axis=0), others.max(axis=0))
    difference = own.mean(axis=0) - others.max(axis=0)
    score = np.divide(difference, largest, out=np.full_like(largest, -np.inf), where=largest > 0)
    score[(own > 0).mean(axis=0) <= 0.5] = -np.inf
    return [int(one) for one in np.argsort(-score, kind="stable") if score[one] > 0][:FEATURES]


def choose(run: Path, task: int, out: Path) -> None:
    """Write the study of a task for one run of tools/data_and_generality.py."""
    bundle_folder = run / "sae" / SITE
    bundle = SaeBundle.load(bundle_folder)
    by_task: dict[str, list[npt.NDArray[np.float64]]] = defaultdict(list)
    for coded in coded_episodes(bundle, ActivationDataset.open(run / "activations")):
        beginning = coded.codes[coded.steps < BEGINNING]
        by_task[coded.episode.task].append(beginning.mean(axis=0, dtype=np.float64))
    name = next((one for one in by_task if one.endswith(f" {task}")), None)
    if name is None or len(by_task) < 2:
        raise ConfigurationError(complaint("task", task, f"one of several in {sorted(by_task)}"))
    own = np.stack(by_task.pop(name))
    ids = most_specific(own, np.stack([np.mean(each, axis=0) for each in by_task.values()]))
    if not ids:
        raise ConfigurationError(
            complaint(f"features of {SITE} specific to task {task}", 0, "1 up")
        )
    text = STUDY.format(
        task=task,
        policy=run / "run" / "policy",
        bundle=bundle_folder,
        site=SITE,
        ids=", ".join(map(str, ids)),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, text.encode())
    print(f"{out}: features {', '.join(map(str, ids))}")


def first_grasped(motion: Trajectory) -> str:
    """Return the first object that touched both finger pads; empty: none did."""
    steps = np.flatnonzero(motion.grasped.any(axis=1))
    return str(motion.object_names[motion.grasped[steps[0]].argmax()]) if len(steps) else ""


def named_object(row: Row, motion: Trajectory) -> str:
    """Return the object that the instruction names."""
    return task_objects(row.task_instruction, motion.object_names).target


def is_right(row: Row, motion: Trajectory) -> bool:
    """Tell whether the hand took the named object before any other."""
    return first_grasped(motion) == named_object(row, motion)


def nearest_object(motion: Trajectory, place: npt.NDArray[np.float64]) -> str:
    """Return the object that stands nearest to a place (2,) [m] in the plane, at the start."""
    distance = np.linalg.norm(motion.object_positions[0, :, :2] - place, axis=1)
    return str(motion.object_names[distance.argmin()])


def came_down_at(motion: Trajectory) -> str:
    """Return the object that stands nearest to where the hand was lowest."""
    return nearest_object(motion, motion.ee_position[motion.ee_position[:, 2].argmin(), :2])


def old_places(tasks: Iterable[str]) -> dict[str, npt.NDArray[np.float64]]:
    """Return where the named object stands in each task (2,) [m], before places are exchanged."""
    environment, found = LiberoEnvironment("quick"), {}
    try:
        for task in tasks:
            spec = find_task("libero_object", int(task))
            environment.reset(spec, EVALUATION_INIT_STATES[0], 0)
            found[task] = environment.object_positions()[target_and_goal(spec)[0]][:2]
    finally:
        environment.close()
    return found


def shares(rollouts: Sequence[Rollout], outcome: Callable[[Row, Trajectory], bool]) -> Outcomes:
    """Return by kind and pair the outcome of each set."""
    found: Outcomes = defaultdict(dict)
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row, motion in rollouts:
        values[row.arm, row.pair].append(float(outcome(row, motion)))
    for (kind, pair), each in values.items():
        found[kind][pair] = np.array(each)
    return found


def compare(found: Outcomes, pairs: Sequence[str]) -> list[Comparison]:
    """Return chosen minus each other kind over these pairs."""
    comparisons = []
    for other in AGAINST:
        differences = np.array(
            [found[CHOSEN][pair].mean() - found[other][pair].mean() for pair in pairs]
        )[:, None]
        mean = mean_interval(differences)
        numbers = (float(column[0]) for column in (mean.mean, mean.low, mean.high))
        comparisons.append(Comparison(other, len(pairs), *numbers, float(wilcoxon(differences)[0])))
    return comparisons


def whole_pairs(found: Outcomes) -> list[str]:
    """Return the pairs whose rollouts are all there.

    Raises:
        RecordingError: there are none, or a kind is missing.
    """
    kinds = ("none", CHOSEN, *AGAINST)
    missing = [kind for kind in kinds if kind not in found]
    if missing:
        raise RecordingError(
            f"The table has no rollouts of {', '.join(missing)}. Make them with: vla-sae evaluate"
        )
    sets = {kind: max(map(len, found[kind].values())) for kind in kinds}
    pairs = [
        pair
        for pair in found["none"]
        if all(len(found[kind].get(pair, ())) == sets[kind] for kind in kinds)
    ]
    if not pairs:
        raise RecordingError("No pair has all of its rollouts yet. Go on with vla-sae evaluate.")
    return pairs


def say(title: str, comparisons: Sequence[Comparison], corrected: bool) -> None:
    """Print a family of comparisons."""
    p = np.array([one.p for one in comparisons])
    for one, value in zip(comparisons, holm(p) if corrected else p, strict=True):
        kind = "p after Holm" if corrected else "p, uncorrected"
        print(
            f"{title}, chosen minus {one.against.removeprefix('random_')}: {one.mean:+.1%} "
            f"({one.low:+.1%} to {one.high:+.1%}), {one.pairs} pairs, {kind} {value:.4f}"
        )


def print_table(folders: Sequence[Path]) -> None:
    """Print the comparisons over the pairs of all studies."""
    rollouts = [
        (row, Trajectory.load(folder / row.file))
        for folder in folders
        for row in read_table(folder)
        if row.protocol == "P3"
    ]
    right = shares(rollouts, is_right)
    pairs = whole_pairs(right)
    places = old_places(sorted({row.task for row, _ in rollouts}))
    there = shares(rollouts, lambda row, motion: came_down_at(motion) == named_object(row, motion))
    old = shares(
        rollouts,
        lambda row, motion: came_down_at(motion) == nearest_object(motion, places[row.task]),
    )
    success = shares(rollouts, lambda row, _: row.success)
    print(f"{len(pairs)} pairs")
    for name, outcomes in (
        ("right", right),
        ("success", success),
        ("comes down at the right object", there),
        ("comes down at the old place", old),
    ):
        for kind in ("none", CHOSEN, *AGAINST):
            mean = np.mean([outcomes[kind][pair].mean() for pair in pairs])
            print(f"  {name}, {kind}: {mean:.1%}")
    wrong = [pair for pair in pairs if not right["none"][pair][0]]
    if wrong:
        counts = [sum(kind["none"][pair][0] for pair in wrong) for kind in (there, old)]
        print(
            f"  plain is not right in {len(wrong)} pairs; in {counts[0]:.0f} of them the hand "
            f"comes down at the right object, in {counts[1]:.0f} at the old place"
        )
        say("primary: right where plain is not", compare(right, wrong), True)
    say("right, all pairs", compare(right, pairs), False)
    say("comes down at the old place, all pairs", compare(old, pairs), False)
    say("success, all pairs", compare(success, pairs), False)


def main() -> int:
    """Write a study file, or print the comparisons."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    choosing = verbs.add_parser("choose")
    choosing.add_argument("run", type=Path, help="one run of tools/data_and_generality.py")
    choosing.add_argument("--task", type=int, required=True)
    choosing.add_argument("--out", type=Path, required=True)
    verbs.add_parser("table").add_argument("studies", type=Path, nargs="+")
    args = parser.parse_args()
    try:
        if args.verb == "choose":
            choose(args.run, args.task, args.out)
        else:
            print_table(args.studies)
    except VlaSaeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
