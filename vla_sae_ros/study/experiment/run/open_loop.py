"""P1 and P5: what the policy answers to given observations, and how fast."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vla_sae_ros.policy.inference import Inference
from vla_sae_ros.study.experiment.design.settings import RunSettings
from vla_sae_ros.study.experiment.records.files import Latency, Responses
from vla_sae_ros.study.experiment.records.outcome import Result
from vla_sae_ros.study.experiment.records.timing import Timed
from vla_sae_ros.study.experiment.run.questions import Look
from vla_sae_ros.study.experiment.run.recorder import HookTraces, actions_sha256
from vla_sae_ros.study.experiment.run.setup import RunPolicy, RunSetup

WARM_UP = 3


def run_open_loop(setup: RunSetup, settings: RunSettings, looked: Sequence[Look]) -> Result:
    """Answer every observation once from every noise seed."""
    timed = Timed()
    policy, traces = setup.hooked(settings), HookTraces(settings.traced)
    asked = [(look, seed) for look in looked for seed in settings.noise_seeds]
    chunks = []
    try:
        for look, seed in asked:
            inference = policy.infer(
                look.frame, settings.instruction or look.instruction, (seed, look.step), share=1.0
            )
            traces.add(look.step, inference)
            chunks.append(inference.actions)
    finally:
        policy.close()
    actions = np.array(chunks, np.float32)
    responses = Responses(
        observation=np.array([look.name for look, _ in asked], str),
        episode=np.array([look.episode for look, _ in asked], np.int64),
        noise_seed=np.array([seed for _, seed in asked], np.int64),
        actions=actions,
        **traces.arrays(),
    )
    outcome = timed.outcome(None, len(asked), actions_sha256(actions), **traces.strength)
    return Result(outcome, responses.to_bytes())


def run_latency(setup: RunSetup, settings: RunSettings, looked: Sequence[Look]) -> Result:
    """Time every answer; change the edit in the middle and take it back at the end."""
    timed = Timed()
    plain = setup.hooked(replace(settings, changes=(), taps=(), traced=()))
    try:
        wanted = [_ask(plain, look, settings, 0.0).actions for look in looked]
    finally:
        plain.close()
    policy, traces = setup.hooked(settings), HookTraces(settings.traced)
    milliseconds, read_out, answers = [], [], []
    try:
        for number in range(WARM_UP):
            _ask(policy, looked[number % len(looked)], settings, 0.0)
        for number in range(settings.steps):
            look = looked[number % len(looked)]
            inference = _ask(policy, look, settings, 1.0)
            milliseconds.append(inference.milliseconds)
            started = time.perf_counter()
            traces.add(look.step, inference)
            read_out.append((time.perf_counter() - started) * 1e3)
            answers.append(inference.actions)
        released = [_ask(policy, look, settings, 0.0).actions for look in looked]
    finally:
        policy.close()
    changed = [
        not np.array_equal(one, wanted[number % len(looked)]) for number, one in enumerate(answers)
    ]
    latency = Latency(
        np.array(milliseconds),
        np.array(read_out),
        np.array(all(map(np.array_equal, released, wanted))),
        np.array(1 + changed.index(True) if any(changed) else -1),
    )
    sha256 = actions_sha256(np.array(answers))
    outcome = timed.outcome(None, settings.steps, sha256, **traces.strength)
    return Result(outcome, latency.to_bytes())


def _ask(policy: RunPolicy, look: Look, settings: RunSettings, share: float) -> Inference:
    return policy.infer(
        look.frame,
        settings.instruction or look.instruction,
        (settings.noise_seeds[0], look.step),
        share,
    )
