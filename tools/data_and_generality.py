"""Does more varied fine-tuning data make features general? The second claim of Swann et al.

    python tools/data_and_generality.py run out/data_and_generality
    python tools/data_and_generality.py table out/data_and_generality

`run` fine-tunes models/demo/policy, or --start FOLDER, on demonstrations of the scripted teacher:
so many tasks, so many layouts of each, with and without the action loss's gradient in the backbone,
and, as a placebo, on demonstrations whose pictures were taken from another layout. Every fine-tune
has the same number of steps. It then measures success in layouts of its training and in held-out
ones, collects every policy's activations at the same recorded observations, the teacher's episodes
in held-out layouts of three tasks, trains three SAEs on each, which differ in their seed alone, and
measures the mean share of general features. With the first seed it also measures that share in the
policy's own episodes in such layouts: how long these are, and where they fail, is then part of the
outcome. It may be interrupted: the same command goes on. With --known FILE it takes results of
earlier runs, one per line, for its own: docs/data_and_generality.jsonl has those that
docs/findings.md shows. `table` prints what is there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats

from vla_sae_ros.activations.codes import episode_codes
from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.core.catalogue import CATALOGUE_FILE, Catalogue
from vla_sae_ros.core.errors import VlaSaeError
from vla_sae_ros.core.picture_record import read_picture_record, write_picture_record
from vla_sae_ros.core.whole_file import write_whole
from vla_sae_ros.policy.checkpoints.policy_id import policy_id_of
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sim.environment import Layout
from vla_sae_ros.sim.libero import LiberoEnvironment
from vla_sae_ros.sim.splits import EVALUATION_INIT_STATES, EVALUATION_SEED, TRAINING_INIT_STATES
from vla_sae_ros.sim.suites import find_task, target_and_goal
from vla_sae_ros.study.demonstrations.files import read_episode, read_index, write_episode
from vla_sae_ros.study.demonstrations.lerobot import export_demonstrations
from vla_sae_ros.study.demonstrations.scripted import EpisodePlan, make_demonstrations
from vla_sae_ros.study.features.generality.classify import proposed_onset
from vla_sae_ros.study.features.generality.generality import EpisodeStatistics
from vla_sae_ros.study.features.generality.generality_classifier import GeneralityClassifier
from vla_sae_ros.study.features.generality.generality_file import GENERALITY_FILE
from vla_sae_ros.study.features.generality.generality_share import general_share
from vla_sae_ros.study.rollouts.execute_steps import EXECUTE_STEPS
from vla_sae_ros.study.rollouts.outcomes import OutcomeFile, wilson_interval
from vla_sae_ros.study.rollouts.rollout import evaluate, policy_actor
from vla_sae_ros.study.rollouts.trials import Trial

SUITE = "libero_object"
START = Path("models/demo/policy")
"""Where every fine-tune starts, unless --start says another."""
FIRST_SEED = 600_000
"""Of the layouts; nothing else that is shipped was trained on these."""
MOVE_M = 0.05
COMMON_TASKS = (0, 1, 2)
"""In which activations of every policy are collected."""
SITES = ("backbone.1", "expert.1")
MEANS = ("coverage", "onset_count", "relative_run_length")
"""Of the catalogue's numbers of a feature: their means over a site's features are reported."""
PROPOSED = "at_proposed_onset"
"""Key of the share of general features at an onset threshold of each SAE's own."""
ONSET = {"backbone.1": 0.008, "expert.1": 0.1}
"""Onset threshold of each site. At the published 0.1 no feature of this backbone is general: most
never reach it. The other is what `vla-sae classify` proposes for the starting policy's backbone."""
MOST_LAYOUTS = 80
TRIALS = 24
"""Of seen and of unseen layouts each."""
RECORDED = "recorded"
"""Data set of the teacher's episodes in held-out layouts, and what is measured at them."""
RECORDED_SEED = EVALUATION_SEED + 500
PICTURE_STEPS = 2
"""Control steps between recorded observations."""
CLOSED_LOOP = "closed_loop"
"""What is measured in the policy's own episodes."""


@dataclass(frozen=True)
class Arm:
    """What a policy is fine-tuned on."""

    tasks: int
    layouts: int
    """Of each task."""
    insulated: bool = False
    shuffled: bool = False
    """The pictures are another layout's."""

    def __str__(self) -> str:
        kind = "_insulated" * self.insulated + "_shuffled" * self.shuffled
        return f"{self.tasks}x{self.layouts}{kind}"

    def task_numbers(self, seed: int) -> tuple[int, ...]:
        """Return the tasks; with one task, each seed has another."""
        if self.tasks == 1:
            return (COMMON_TASKS[seed % len(COMMON_TASKS)],)
        return COMMON_TASKS if self.tasks == len(COMMON_TASKS) else tuple(range(self.tasks))


MIDDLE = Arm(3, 20)
ARMS = (
    Arm(3, 5),
    MIDDLE,
    Arm(3, 80),
    Arm(1, 20),
    Arm(10, 20),
    replace(MIDDLE, insulated=True),
    replace(MIDDLE, shuffled=True),
)


def layout_plan(task_index: int, number: int) -> EpisodePlan:
    """Return the demonstration of a task's layout; in every second one objects change places."""
    return EpisodePlan(
        task_index,
        target_and_goal(find_task(SUITE, task_index))[0],
        TRAINING_INIT_STATES[number % len(TRAINING_INIT_STATES)],
        FIRST_SEED + 1000 * task_index + number,
        Layout(MOVE_M, None, bool(number % 2)),
    )


def chosen_layouts(arm: Arm, seed: int, there: int) -> list[int]:
    """Return the numbers of an arm's layouts; a larger arm of the same seed has those and more."""
    return [int(number) for number in np.random.default_rng(seed).permutation(there)[: arm.layouts]]


def layouts_made(task_index: int) -> int:
    """Return how many layouts of a task are demonstrated."""
    return MOST_LAYOUTS if task_index in COMMON_TASKS else MIDDLE.layouts


def gather(demos: Path, out: Path, arm: Arm, seed: int) -> None:
    """Write the demonstrations of one run into a folder of their own."""
    if (out / "whole").exists():
        return
    shutil.rmtree(out, ignore_errors=True)
    for task in arm.task_numbers(seed):
        folder = demos / f"task_{task}"
        numbers = chosen_layouts(arm, seed, layouts_made(task))
        seeds = [layout_plan(task, number).seed for number in numbers]
        infos = {info.seed: info for info in read_index(folder)}
        episodes = [read_episode(folder, infos[one]) for one in seeds]
        for place, one in enumerate(seeds):
            episode = episodes[place]
            if arm.shuffled:
                other = episodes[(place + 1) % len(episodes)].pictures
                at = np.linspace(0, len(other) - 1, len(episode.pictures)).round().astype(int)
                episode = replace(episode, pictures=other[at])
            write_episode(out, infos[one], episode)
        record = read_picture_record(folder)
        assert record is not None
        write_picture_record(out, record)
    (out / "whole").touch()


def record(root: Path, layouts: int) -> None:
    """Make the data set of the teacher's episodes in so many held-out layouts of each task."""
    if (root / RECORDED).exists():
        return
    demos = root / "demos" / "held_out"
    make_demonstrations(
        demos,
        [
            replace(
                layout_plan(task, number),
                init_state=EVALUATION_INIT_STATES[number % len(EVALUATION_INIT_STATES)],
                seed=RECORDED_SEED + number,
            )
            for task in COMMON_TASKS
            for number in range(layouts)
        ],
        PICTURE_STEPS,
    )
    part = root / f"{RECORDED}.part"
    shutil.rmtree(part, ignore_errors=True)
    export_demonstrations(demos, part)
    part.rename(root / RECORDED)


def success(policy: Path, trials: Sequence[Trial], journal: Path) -> int:
    """Return in how many trials a policy succeeds."""
    environment = LiberoEnvironment()
    try:
        actor = policy_actor(policy, environment, EXECUTE_STEPS, "full")
        return sum(
            each.success for each in evaluate(environment, actor, trials, OutcomeFile(journal))
        )
    finally:
        environment.close()


def seen_trials(arm: Arm, seed: int) -> list[Trial]:
    """Return trials in layouts of the training, evenly over tasks."""
    trials = []
    tasks = arm.task_numbers(seed)
    for place in range(min(TRIALS, arm.layouts * len(tasks))):
        task = tasks[place % len(tasks)]
        number = chosen_layouts(arm, seed, layouts_made(task))[place // len(tasks)]
        plan = layout_plan(task, number)
        trials.append(Trial(find_task(SUITE, task), plan.init_state, plan.seed, plan.layout))
    return trials


def unseen_trials(tasks: Sequence[int]) -> list[Trial]:
    """Return trials in held-out layouts, drawn as those of the training are."""
    return [
        Trial(
            find_task(SUITE, tasks[place % len(tasks)]),
            EVALUATION_INIT_STATES[place % len(EVALUATION_INIT_STATES)],
            EVALUATION_SEED + place,
            Layout(MOVE_M, None, bool(place // len(tasks) % 2)),
        )
        for place in range(TRIALS)
    ]


@dataclass(frozen=True)
class Options:
    """Sizes of the whole design, small in a test."""

    steps: int = 1500
    episodes: int = 15
    epochs: int = 300
    draws: int = 300
    saes: int = 3
    """Of each site at the recorded observations: the share differs between seeds of an SAE, too."""
    start: Path = START
    """Policy folder."""


def run_one(root: Path, arm: Arm | None, seed: int, options: Options) -> dict[str, object]:
    """Fine-tune (None: not at all), measure, and return the result; what is there is kept."""
    out = root / (f"{arm}-{seed}" if arm else f"start-{seed}")
    policy = options.start
    tasks = arm.task_numbers(seed) if arm else COMMON_TASKS
    if arm:
        gather(root / "demos", out / "demos", arm, seed)
        extra = ["--insulate-backbone"] if arm.insulated else []
        vla_sae(
            "train-policy", "--demos", out / "demos", "--start-from", options.start,
            "--out", out / "run", "--batch-size", 12, "--frames", 1, "--draws", 2,
            "--steps", options.steps, "--learning-rate", 4e-4, "--seed", seed,
            "--checkpoint-every", 500, *extra,
        )  # fmt: skip
        policy = out / "run" / "policy"
    found: dict[str, object] = {"arm": str(arm or "start"), "seed": seed}
    found["start"] = policy_id_of(options.start)
    found |= asdict(arm) if arm else {}
    seen = seen_trials(arm, seed) if arm else []
    unseen = unseen_trials(tasks) if arm or seed == 0 else []  # the start is the same policy
    for name, trials in (("seen", seen), ("unseen", unseen)):
        found[name] = (
            [success(policy, trials, out / f"{name}.jsonl"), len(trials)] if trials else []
        )
    generality = partial(measure, policy=policy, seed=seed, options=options)
    recorded = ("--dataset", root / RECORDED, "--every", 1)
    found |= generality(out / RECORDED, options.saes, *recorded)
    if seed == 0:
        found[CLOSED_LOOP] = generality(
            out, 1, "--suite", SUITE, "--tasks", ",".join(map(str, COMMON_TASKS)),
            "--episodes", options.episodes, "--every", 2, "--max-steps", 170,
            "--move", MOVE_M, "--seed", EVALUATION_SEED + 500,
        )  # fmt: skip
    shutil.rmtree(out / "demos", ignore_errors=True)
    write_whole(out / "result.json", (json.dumps(found, indent=1) + "\n").encode())
    return found


def measure(
    out: Path, saes: int, *source: object, policy: Path, seed: int, options: Options
) -> dict[str, object]:
    """Collect a policy's activations, train so many SAEs of each site, return each site's result.

    source: arguments of `vla-sae collect`.
    """
    vla_sae(
        "collect", out / "activations", "--policy", policy, "--sites", *SITES,
        "--frame-height", 0, *source,
    )  # fmt: skip
    found: dict[str, object] = {}
    for site in SITES:
        each = []
        for number in range(saes):
            bundle = out / (f"sae_{number}" if number else "sae") / site
            classified = bundle / GENERALITY_FILE
            if not classified.is_file():
                shutil.rmtree(bundle, ignore_errors=True)
                vla_sae(
                    "train-sae", out / "activations", "--site", site, "--out", bundle,
                    "--seed", seed + 100 * number, "--dictionary-size", 512, "--k", 16,
                    "--epochs", options.epochs, "--policy", policy,
                )  # fmt: skip
            # An earlier version classified at another threshold.
            if not classified.is_file() or json.loads(classified.read_text())["tau"] != ONSET[site]:
                vla_sae(
                    "classify", bundle, out / "activations", "--draws", options.draws,
                    "--tau", ONSET[site],
                )  # fmt: skip
            proposed = at_proposed_onset(bundle, out / "activations")
            each.append(generality_of(bundle) | {PROPOSED: proposed})
        found[site] = mean_of(each)
    return found


def at_proposed_onset(bundle_folder: Path, activations: Path) -> float:
    """Return the share of general features at the onset threshold that classify proposes."""
    bundle, dataset = SaeBundle.load(bundle_folder), ActivationDataset.open(activations)
    codes = list(episode_codes(bundle, dataset, unit_length=True))
    onset = proposed_onset(EpisodeStatistics.of(codes).metrics())
    statistics = EpisodeStatistics.of(codes, onset)
    return general_share(statistics, GeneralityClassifier.published("libero"), draws=2).value


def mean_of(each: Sequence[Mapping[str, float]]) -> dict[str, object]:
    """Return the means over a site's SAEs, and the single shares as `values`."""
    means = {key: float(np.mean([one[key] for one in each])) for key in each[0]}
    return means | {"values": [one["value"] for one in each]}


def generality_of(bundle: Path) -> dict[str, float]:
    """Return share of general features with interval, and the MEANS over those that fire.

    Where the outcomes of the episodes are known, also the shares of those that `succeeded` and
    `failed`.
    """
    record = json.loads((bundle / GENERALITY_FILE).read_text(encoding="utf-8"))
    entries = Catalogue.load(bundle / CATALOGUE_FILE).entries
    firing = [one for one in entries if one.feature_class != "dead"]
    each = {name: np.array([getattr(one, name) for one in firing], float) for name in MEANS}
    means = {name: float(np.nanmean(values)) for name, values in each.items()}
    # A folder that an earlier version classified has none.
    by_outcome = {name: share["value"] for name, share in record.get("by_outcome", {}).items()}
    return {**record["general_share"], **by_outcome, **means, "firing": len(firing)}


def vla_sae(*arguments: object) -> None:
    """Run one command of the package with one thread."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    command = [sys.executable, "-m", "vla_sae_ros.cli", *map(str, arguments)]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise VlaSaeError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}"
        )


def interval(values: Sequence[float]) -> str:
    """Return a mean with its 95 % t interval over seeds."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:.1%}"
    half = float(scipy.stats.t.ppf(0.975, len(values) - 1) * scipy.stats.sem(values))
    return f"{mean:.1%} ± {half:.1%}"


@dataclass(frozen=True)
class Slope:
    """How much an outcome grows with each doubling, with its 95 % interval and two-sided p."""

    value: float
    low: float
    high: float
    p: float


def slopes(given: Mapping[str, Sequence[int]], outcome: Sequence[float]) -> dict[str, Slope]:
    """Return the slopes of an outcome on log2 of what was given: ordinary least squares.

    What is the same in all runs has no slope.
    """
    varied = {name: np.log2(values) for name, values in given.items() if len(set(values)) > 1}
    columns = np.stack([np.ones(len(outcome)), *varied.values()], axis=1)
    y = np.asarray(outcome, np.float64)
    fitted = np.linalg.lstsq(columns, y, rcond=None)[0]
    free = len(y) - columns.shape[1]
    variance = float(np.square(y - columns @ fitted).sum()) / free
    errors = np.sqrt(np.diag(np.linalg.inv(columns.T @ columns)) * variance)
    reach = scipy.stats.t.ppf(0.975, free) * errors
    p = 2 * scipy.stats.t.sf(np.abs(fitted / errors), free)
    return {
        name: Slope(
            float(fitted[i]), float(fitted[i] - reach[i]), float(fitted[i] + reach[i]), float(p[i])
        )
        for i, name in enumerate(varied, start=1)
    }


def results_in(root: Path, known: Path | None) -> list[dict]:
    """Return the results of a folder's runs, and those of the file that it has none of."""
    own = [json.loads(path.read_text()) for path in sorted(root.glob("*/result.json"))]
    there = {(one["arm"], one["seed"]) for one in own}
    told = map(json.loads, known.read_text().splitlines()) if known else ()
    return own + [one for one in told if (one["arm"], one["seed"]) not in there]


def is_whole(result: Mapping[str, Any], saes: int) -> bool:
    """Tell whether a run was also measured at the recorded observations, with so many SAEs."""
    return all(len(result.get(site, {}).get("values", ())) >= saes for site in SITES)


def by_measurement(results: Sequence[dict]) -> dict[str, list[dict]]:
    """Return the results of each measurement, its sites in each of them."""
    return {
        "recorded": [one for one in results if is_whole(one, 1)],
        "closed loop": [one | one[CLOSED_LOOP] for one in results if CLOSED_LOOP in one],
    }


def print_table(root: Path, results: Sequence[dict]) -> None:
    """Print every arm with its intervals, the regressions, and the two paired comparisons."""
    if not results:
        raise VlaSaeError(f"No results in {root}. Make some with: {sys.argv[0]} run {root}")
    measured = by_measurement(results)
    for name in ("start", *map(str, ARMS)):
        own = [one for one in results if one["arm"] == name]
        if not own:
            continue
        print(f"\n{name}, {len(own)} seeds")
        for kind in ("seen", "unseen"):
            counted = [one[kind] for one in own if one[kind]]
            if counted:
                solved, of = (sum(column) for column in zip(*counted, strict=True))
                low, high = wilson_interval(solved, of)
                print(f"  success, {kind} layouts: {solved} / {of} ({low:.0%} to {high:.0%})")
        for how, group in measured.items():
            print_arm(how, [one for one in group if one["arm"] == name])
    for how, group in measured.items():
        plain = [one for one in group if one.get("layouts")]
        plain = [one for one in plain if not one["insulated"] and not one["shuffled"]]
        for site in SITES:
            for outcome in ("value", PROPOSED, "coverage"):
                if not all(outcome in one[site] for one in group):
                    continue  # an earlier version measured some of them
                what = f"{how}, {site} {outcome}"
                print_slopes(what, plain, site, outcome)
                for other in ("insulated", "shuffled"):
                    print_difference(what, group, site, outcome, f"{MIDDLE}_{other}")


def print_arm(how: str, own: Sequence[dict]) -> None:
    """Print one measurement of an arm's features."""
    for site in SITES if own else ():
        each = "; ".join(
            f"{one[site]['value']:.1%} ({one[site]['low']:.1%} to {one[site]['high']:.1%})"
            for one in own
        )
        general = interval([one[site]["value"] for one in own])
        print(f"  {how}, {site} general: {general} [{each}]")
        if shares := [one[site][PROPOSED] for one in own if PROPOSED in one[site]]:
            print(f"  {how}, {site} general {PROPOSED}: {interval(shares)}")
        for kind in ("succeeded", "failed"):
            if shares := [one[site][kind] for one in own if kind in one[site]]:
                print(f"  {how}, {site} general in episodes that {kind}: {interval(shares)}")
        print(f"  {how}, {site} coverage: {interval([one[site]['coverage'] for one in own])}")
        for name in MEANS[1:]:
            if means := [one[site][name] for one in own if name in one[site]]:
                print(f"  {how}, {site} {name}: {np.mean(means):.3f}")


def print_slopes(what: str, plain: Sequence[dict], site: str, outcome: str) -> None:
    """Print how a site's outcome depends on layouts and tasks."""
    if len(plain) < 5:
        return
    values = [one[site][outcome] for one in plain]
    if len(set(values)) == 1:
        print(f"{what}: {values[0]:.2%} in each of the {len(values)} runs")
        return
    given = {name: [one[name] for one in plain] for name in ("layouts", "tasks")}
    for name, slope in slopes(given, values).items():
        print(
            f"{what}, per doubling of {name}: {slope.value:+.2%} "
            f"({slope.low:+.2%} to {slope.high:+.2%}), p {slope.p:.3f}"
        )


def print_difference(
    what: str, results: Sequence[dict], site: str, outcome: str, name: str
) -> None:
    """Print a kind of fine-tune against the middle arm, paired by seed."""
    by_seed = {one["seed"]: one[site][outcome] for one in results if one["arm"] == str(MIDDLE)}
    pairs = [
        one[site][outcome] - by_seed[one["seed"]]
        for one in results
        if one["arm"] == name and one["seed"] in by_seed
    ]
    if pairs:
        print(f"{what}, {name} less {MIDDLE}: {interval(pairs)} over {len(pairs)} seeds")


def demonstrate(root: Path, task: int) -> None:
    """Make what is missing of a task's demonstrations."""
    plans = [layout_plan(task, number) for number in range(layouts_made(task))]
    make_demonstrations(root / "demos" / f"task_{task}", plans)


def run_all(
    root: Path,
    seeds: int,
    workers: int,
    options: Options,
    arms: Sequence[Arm] = ARMS,
    known: Path | None = None,
) -> None:
    """Make the demonstrations, then every run; every arm once before any a second time.

    Raises VlaSaeError for results of fine-tunes that started from another policy.
    """
    results, start = results_in(root, known), policy_id_of(options.start)
    if others := {one.get("start", "unknown") for one in results} - {start}:
        raise VlaSaeError(
            f"The results in {root} and {known} are of fine-tunes that started from policy "
            f"{', '.join(sorted(others))}; {options.start} is {start}. Give that policy with "
            "--start, or another folder and no --known."
        )
    there = {(one["arm"], one["seed"]) for one in results if is_whole(one, options.saes)}
    runs = [(arm, seed) for seed in range(seeds) for arm in (None, *arms)]
    runs = [run for run in runs if (str(run[0] or "start"), run[1]) not in there]
    if not runs:
        return
    tasks = sorted({task for arm, seed in runs if arm for task in arm.task_numbers(seed)})
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        made = [pool.submit(demonstrate, root, task) for task in tasks]
        made.append(pool.submit(record, root, options.episodes))
        for each in made:
            each.result()
        for each in as_completed([pool.submit(run_one, root, *one, options) for one in runs]):
            if error := each.exception():
                print(f"A run failed; those under way are finished: {error}", file=sys.stderr)
                pool.shutdown(wait=False, cancel_futures=True)
            print(json.dumps(each.result()), flush=True)


def main() -> int:
    """Run the design or print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=("run", "table"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="processes side by side")
    parser.add_argument(
        "--arms", nargs="+", choices=tuple(map(str, ARMS)), help="only these; default: all"
    )
    parser.add_argument(
        "--start", type=Path, default=START, help="policy to fine-tune; default %(default)s"
    )
    parser.add_argument("--known", type=Path, help="file of results that are not made again")
    args = parser.parse_args()
    try:
        if args.verb == "run":
            wanted = [arm for arm in ARMS if args.arms is None or str(arm) in args.arms]
            options = Options(start=args.start)
            run_all(args.folder, args.seeds, args.workers, options, wanted, args.known)
        print_table(args.folder, results_in(args.folder, args.known))
    except VlaSaeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
