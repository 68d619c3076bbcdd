"""Chunks of a compiled policy with taps in its graph, over the compiled policy without, in one run.

    python bench/compiled_taps.py [--rounds 60] [--changes 1000] [--whole]
    python bench/compiled_taps.py --pi05 512     # a random pi0.5 of this width instead

All arms run on one policy in memory, which is given each arm's parts before its turn: eager; eager
with four taps, without edits and with 16; compiled; compiled with four taps, without edits and with
16, which are one graph. --whole adds the policy as lerobot compiles it, its loop unrolled: minutes.
A turn is one inference to warm up and one that is measured; a ratio is the median over the rounds
of an arm's time over plain's. Then the edits are changed `--changes` times, and what that compiles
is counted. Everything is computed by --threads threads.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tapped_policy import EDITS, edits, frame_of, given_policy, random_bundles
from tqdm import trange

from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.policy.compiled.engine import CompiledEngine
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.inference import NO_STEERING
from vla_sae_ros.resources import resource
from vla_sae_ros.sae import SaeBundle

TOLD = "pick up the butter and place it in the basket"


@dataclass(frozen=True)
class Arm:
    """Gives an engine for a turn, and takes it away; and what that engine is to apply."""

    engine: Callable[[], Any]
    steering: Snapshot = NO_STEERING


def main() -> None:
    """Print the table."""
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    loaded, given = given_policy(arguments.policy, arguments.bundles, arguments.pi05)
    eager = PolicyEngine(loaded)
    bundles = [*given, *random_bundles(eager, given)][:4]
    tapped = PolicyEngine(loaded, bundles)
    steering = Snapshot(1, edits(tapped), cap=1.5)
    tapped.close()
    began = time.perf_counter()
    bare, compiled = _compiled(loaded, []), _compiled(loaded, bundles)
    assert bare.recompilations > 0, "the second engine found the first one's graphs"
    told: dict[str, Any] = {"compiling both [s]": round(time.perf_counter() - began)}
    arms = {
        "plain": Arm(lambda: _eager(loaded, [])),
        "4 taps": Arm(lambda: _eager(loaded, bundles)),
        f"4 taps, {EDITS} edits": Arm(lambda: _eager(loaded, bundles), steering),
        "compiled": Arm(lambda: _installed(bare)),
        "compiled again": Arm(lambda: _installed(bare)),
        "compiled, 4 taps": Arm(lambda: _installed(compiled)),
        f"compiled, 4 taps, {EDITS} edits": Arm(lambda: _installed(compiled), steering),
    }
    if arguments.whole:
        whole = torch.compile(loaded.policy.model.sample_actions)
        arms["compiled whole, as lerobot does"] = Arm(lambda: _whole(loaded, whole))
    frame = frame_of(eager)
    times = _measured(arms, frame, arguments.rounds)
    told |= _exactness(arms, frame)
    told["graphs made by changes of edits"] = _recompilations(compiled, frame, arguments.changes)
    told["changes of edits"] = arguments.changes
    print(json.dumps({"arms": _table(times), **told}, indent=2))


def _compiled(loaded: Any, bundles: list[SaeBundle]) -> CompiledEngine:
    engine = CompiledEngine(loaded, bundles, progress=print)
    engine.warm_up()
    engine.parts.remove()
    return engine


@contextmanager
def _unhooked(loaded: Any) -> Iterator[None]:
    """Take the compiled taps' hooks off; the very same must come back, or they compile anew."""
    kept = [
        (hooks, dict(hooks))
        for module in loaded.policy.modules()
        for hooks in (module._forward_hooks, module._forward_pre_hooks)
        if hooks
    ]
    for hooks, _those in kept:
        hooks.clear()
    try:
        yield
    finally:
        for hooks, those in kept:
            hooks.update(those)


@contextmanager
def _eager(loaded: Any, bundles: list[SaeBundle]) -> Iterator[PolicyEngine]:
    with _unhooked(loaded):
        engine = PolicyEngine(loaded, bundles)
        try:
            yield engine
        finally:
            engine.close()


@contextmanager
def _installed(engine: CompiledEngine) -> Iterator[CompiledEngine]:
    with nullcontext() if engine.bundles else _unhooked(engine.loaded):
        engine.parts.install()
        try:
            yield engine
        finally:
            engine.parts.remove()


@contextmanager
def _whole(loaded: Any, whole: Any) -> Iterator[PolicyEngine]:
    with _unhooked(loaded):
        loaded.policy.model.sample_actions = whole
        try:
            yield PolicyEngine(loaded)
        finally:
            del loaded.policy.model.sample_actions


def _measured(
    arms: dict[str, Arm], frame: dict[str, np.ndarray], rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Return of every arm and round the seconds to the chunk, and to what was read out, too."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
    for _ in trange(rounds, desc="rounds"):
        for name in random.sample(list(arms), len(arms)):
            with arms[name].engine() as engine:
                engine.infer(frame, TOLD, (0, 0), arms[name].steering)
                started = time.perf_counter()
                inference = engine.infer(frame, TOLD, (0, 0), arms[name].steering)
                chunk = time.perf_counter() - started
                assert len(inference.sites) == len(engine.bundles)
                times[name].append((chunk, time.perf_counter() - started))
    return times


def _exactness(arms: dict[str, Arm], frame: dict[str, np.ndarray]) -> dict[str, Any]:
    actions = {}
    for name, arm in arms.items():
        with arm.engine() as engine:
            actions[name] = engine.infer(frame, TOLD, (0, 0), arm.steering).actions
    edited = f"4 taps, {EDITS} edits"
    difference = np.abs(actions[f"compiled, {edited}"] - actions[edited]).max()
    return {
        "neutral taps equal the compiled plain policy to the bit": (
            actions["compiled, 4 taps"].tobytes() == actions["compiled"].tobytes()
        ),
        "largest difference of edited actions, compiled and eager": float(difference),
        "largest difference that the edits make": float(
            np.abs(actions[edited] - actions["plain"]).max()
        ),
    }


def _recompilations(engine: CompiledEngine, frame: dict[str, np.ndarray], changes: int) -> int:
    generator = np.random.default_rng(0)
    sites = [site for site in engine.steering_sites() if site.can_steer]
    before = engine.recompilations
    with _installed(engine):
        for change in trange(changes, desc="changes"):
            standing = {
                site.name: tuple(
                    AppliedEdit(int(feature), mode, float(generator.normal()), 1.0)
                    for feature, mode in zip(
                        generator.integers(0, site.dictionary_size, change % 17),
                        map(Mode, generator.integers(0, len(Mode), change % 17).tolist()),
                        strict=True,
                    )
                )
                for site in sites
            }
            engine.infer(frame, TOLD, (0, change), Snapshot(change, standing, cap=1.0))
    return engine.recompilations - before


def _table(times: dict[str, list[tuple[float, float]]]) -> dict[str, dict[str, float]]:
    seconds = {name: np.array(values) for name, values in times.items()}

    def ratio(name: str, base: str, column: int) -> float:
        return round(float(np.median(seconds[name][:, column] / seconds[base][:, column])), 4)

    return {
        name: {
            "median ms to the chunk": round(1e3 * float(np.median(seconds[name][:, 0])), 2),
            "chunk over plain": ratio(name, "plain", 0),
            "chunk over compiled": ratio(name, "compiled", 0),
            "with read-outs over compiled": ratio(name, "compiled", 1),
        }
        for name in times
    }


def _parser() -> argparse.ArgumentParser:
    demo = resource("models", "demo")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--policy", type=Path, default=demo / "policy")
    bundles = [demo / "sae" / site for site in ("backbone.1", "expert.1")]
    parser.add_argument("--bundles", type=Path, nargs="*", default=bundles)
    parser.add_argument("--pi05", type=int, default=0, metavar="WIDTH")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--whole", action="store_true")
    return parser


if __name__ == "__main__":
    main()
