"""What real-time chunking does to the delay of an edit, on the demonstration policy.

    python bench/rtc_delay.py [--tasks 0,3] [--inferences 14] [--features 4]

Open loop: episodes of LIBERO are played without edits, and their observations are inferred from
again, with the same noise, by four arms: with and without an edit, each with chunks from scratch
and with chunks that continue their own predecessor. The edit begins in the middle. Its effect is
the difference that it makes to the actions that would be executed. Printed is the share of the
effect without real-time chunking that is there with it (the projection on it, over all actions),
after 1, 2, ... inferences; without, it is all there at the first one.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from vla_sae_ros.activations.source import PolicyQuery
from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.inference import NO_STEERING, Continued, Inference
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.resources import resource
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sim.benchmark import benchmark_named
from vla_sae_ros.sim.environment import Layout
from vla_sae_ros.sim.libero import LiberoEnvironment
from vla_sae_ros.study.rollouts.execute_steps import EXECUTE_STEPS
from vla_sae_ros.study.rollouts.playing import play_trial
from vla_sae_ros.study.rollouts.trials import parse_suites, plan_trials

ONSET = 4
"""Inferences before the edit."""
DELAYS = (0, 3)
"""[ticks] from an observation to the first executed action of its chunk: lockstep, and 0.15 s."""
LIMITS = 1200.0, 120.0
"""[s] for a reset and a step: other jobs may use the machine."""
Chunks = list[npt.NDArray[np.float32]]


class Arms:
    """An engine that infers from the same observations in different ways."""

    def __init__(self, engine: PolicyEngine, queries: Sequence[PolicyQuery]) -> None:
        self._engine, self._queries = engine, queries
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    def from_scratch(self, edits: Snapshot = NO_STEERING) -> Chunks:
        """Return the normalised chunks (H, A)."""
        return [_normalised(self._infer(query, edits, None)) for query in self._queries]

    def continued(
        self,
        delay: int,
        edits: Snapshot = NO_STEERING,
        before: Sequence[npt.NDArray[np.float32]] = (),
    ) -> Chunks:
        """Return the normalised chunks after `before`, each continuing its predecessor."""
        chunks = list(before)
        for query in self._queries[len(before) :]:
            rest = chunks[-1][EXECUTE_STEPS:] if chunks else None
            previous = None if rest is None else Continued(rest, delay, 1)
            chunks.append(_normalised(self._infer(query, edits, previous)))
        return chunks

    def _infer(self, query: PolicyQuery, edits: Snapshot, previous: Continued | None) -> Inference:
        seed = query.seed, query.step
        began = time.process_time()
        inference = self._engine.infer(query.frame, query.instruction, seed, edits, previous)
        name = "from scratch" if previous is None else "continued"
        self.seconds[name].append(time.process_time() - began)
        return inference


def _normalised(inference: Inference) -> npt.NDArray[np.float32]:
    assert inference.normalised is not None
    return inference.normalised


def executed(chunks: Chunks, delay: int) -> npt.NDArray[np.float64]:
    """Return what would be executed of each chunk, (n, EXECUTE_STEPS, A)."""
    return np.stack(chunks)[:, delay : delay + EXECUTE_STEPS].astype(np.float64)


def share(effect: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]) -> float:
    """Return how far `effect` goes along `whole`: 1 all of it; both are flattened."""
    return float(effect.ravel() @ whole.ravel() / (whole.ravel() @ whole.ravel()))


def observations(policy: PolicyEngine, tasks: str, inferences: int) -> Iterator[list[PolicyQuery]]:
    """Play one episode of each task, and yield what the policy was asked."""
    benchmark = benchmark_named("libero")
    environment = LiberoEnvironment("full", *LIMITS)
    for task in parse_suites("libero_object", tasks, benchmark):
        steps = inferences * EXECUTE_STEPS
        (trial,) = plan_trials([task], [0], 1, layout=Layout(), max_steps=steps)
        queries: list[PolicyQuery] = []

        def answer(query: PolicyQuery, queries: list[PolicyQuery] = queries) -> np.ndarray:
            queries.append(query)
            seed = query.seed, query.step
            return policy.infer(query.frame, query.instruction, seed).actions

        play_trial(environment, trial, EXECUTE_STEPS, answer)
        yield queries
    environment.close()


def edits_of(bundles: Sequence[SaeBundle], count: int) -> Iterator[Snapshot]:
    """Yield clamps to the observed maximum, of the features that fire most often at each site."""
    for bundle in bundles:
        entries = [entry for entry in bundle.catalogue.entries if entry.observed_max > 0.0]
        entries.sort(key=lambda entry: -float(np.nan_to_num(entry.density)))
        for entry in entries[:count]:
            edit = AppliedEdit(entry.feature, Mode.CLAMP, entry.observed_max, 1.0)
            yield Snapshot(1, {bundle.card.site: (edit,)})


def boundary_step(chunks: Chunks, delay: int) -> float:
    """Mean length of the step from the last executed action of a chunk to the next chunk's."""
    before = np.stack(chunks[:-1])[:, delay + EXECUTE_STEPS - 1]
    after = np.stack(chunks[1:])[:, delay]
    return float(np.linalg.norm(after - before, axis=1).mean())


def main() -> None:
    """Measure and print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", default="0,3")
    parser.add_argument("--inferences", type=int, default=14, help="per task")
    parser.add_argument("--features", type=int, default=4, help="per site")
    args = parser.parse_args()
    torch.set_num_threads(1)
    demo = Path(resource("models", "demo", "policy")).parent
    bundles = [
        SaeBundle.load(path.parent, "cpu") for path in sorted(demo.glob("sae/*/bundle.yaml"))
    ]
    engine = PolicyEngine(load_policy(demo / "policy"), bundles)
    engine.enable_rtc()
    edits = list(edits_of(bundles, args.features))
    effects: defaultdict[int, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    steps: defaultdict[tuple[int, str], list[float]] = defaultdict(list)
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    for queries in observations(engine, args.tasks, args.inferences):
        arms = Arms(engine, queries)
        plain = arms.from_scratch()
        pulled = {delay: arms.continued(delay) for delay in DELAYS}
        for delay in DELAYS:
            steps[delay, "from scratch"].append(boundary_step(plain, delay))
            steps[delay, "continued"].append(boundary_step(pulled[delay], delay))
        for edit in edits:
            edited = arms.from_scratch(edit)
            for delay in DELAYS:
                pulled_edited = arms.continued(delay, edit, pulled[delay][:ONSET])
                whole = executed(edited, delay) - executed(plain, delay)
                effect = executed(pulled_edited, delay) - executed(pulled[delay], delay)
                effects[delay].append((effect[ONSET:], whole[ONSET:]))
        for name, each in arms.seconds.items():
            seconds[name] += each
    _print(effects, steps, seconds)


def _print(
    effects: dict[int, list[tuple[np.ndarray, np.ndarray]]],
    steps: dict[tuple[int, str], list[float]],
    seconds: dict[str, list[float]],
) -> None:
    count = min(len(effect) for effect, _whole in effects[DELAYS[0]])
    print(f"{len(effects[DELAYS[0]])} pairs of an edit and an episode")
    print("| inferences since the edit | " + " | ".join(str(n + 1) for n in range(count)) + " |")
    print("|---" * (count + 1) + "|")
    for delay, pairs in effects.items():
        shares = [
            share(
                np.stack([effect[n] for effect, _whole in pairs]),
                np.stack([whole[n] for _effect, whole in pairs]),
            )
            for n in range(count)
        ]
        print(f"| {delay} ticks late | " + " | ".join(f"{one:.2f}" for one in shares) + " |")
    for (delay, name), lengths in steps.items():
        print(f"step between chunks, {delay} ticks late, {name}: {np.mean(lengths):.3f} stds")
    for name, each in seconds.items():
        print(f"{name}: {1e3 * float(np.median(each)):.0f} ms of processor time a chunk")


if __name__ == "__main__":
    main()
