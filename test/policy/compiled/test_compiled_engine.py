"""Policies compiled with their taps in the graph: one plain and one tapped compilation a family.

SmolVLA's graphs become code. Those of pi0.5 are traced and run by torch's own kernels: generating
their code, too, would take minutes, and what is asked of it is asked of SmolVLA's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_families import statistics
from traced_parts import trace_only

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.compiled.engine import CompiledEngine
from vla_sae_ros.policy.compiled.graph_cache import CACHE_VARIABLE, graph_cache, own_cache
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.inference import Inference, NotCompiled
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny.tiny_pi import PiSize, build_tiny_pi, save_tiny_pi
from vla_sae_ros.policy.tiny.tiny_smolvla import CAMERA_KEYS
from vla_sae_ros.sae import SaeBundle

pytestmark = pytest.mark.slow
MakeBundle = Callable[..., SaeBundle]
INSTRUCTION = "pick up the butter"
SITES = {"backbone.0": "mean", "backbone.1": "token", "expert.1": "mean"}
CHANGES = 60
SEEDS = range(4)
ROUNDING = 2e-4
"""Of the compiler, which sums in another order; edits of these tests move actions by 0.1."""


@dataclass(frozen=True)
class Compiled:
    """One family: the loaded policy, what it does plainly, and its compiled engine."""

    loaded: LoadedPolicy
    frame: dict[str, np.ndarray]
    before: np.ndarray
    plain: np.ndarray
    bundles: list[SaeBundle]
    engine: CompiledEngine
    told: list[str]
    eager: dict[int, Inference]
    """What the eager policy does with `edits_of` these seeds."""


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache out of this; who sets the variable keeps what was compiled."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        if graph_cache() == own_cache():
            monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("compiled")))
        else:
            monkeypatch.setenv(CACHE_VARIABLE, str(graph_cache()))
        yield


@pytest.fixture(scope="module", params=["smolvla", "pi05"])
def it(
    request: pytest.FixtureRequest,
    tiny_policy_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    make_bundle: MakeBundle,
) -> Iterator[Compiled]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield from _compiled(
            request.param, tiny_policy_folder, tmp_path_factory, make_bundle, monkeypatch
        )


def _compiled(
    family: str,
    tiny_policy_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    make_bundle: MakeBundle,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Compiled]:
    folder = tiny_policy_folder
    if family == "pi05":
        folder = tmp_path_factory.mktemp("pi05")
        size = PiSize(layers=2)
        save_tiny_pi(build_tiny_pi("pi05", size), size, statistics(), folder)
        trace_only(monkeypatch)
    loaded = load_policy(folder)
    sites = {site: pooling for site, pooling in SITES.items() if family == "smolvla"} or {
        "backbone.0": "token",
        "expert.0": "mean",
    }
    bundles = [make_bundle(loaded, site, pooling) for site, pooling in sites.items()]
    random = np.random.default_rng(0)
    frame = {key: random.integers(0, 256, (256, 256, 3), dtype=np.uint8) for key in CAMERA_KEYS}
    frame["observation.state"] = random.normal(size=8).astype(np.float32)
    before = PolicyEngine(loaded).infer(frame, INSTRUCTION, (1, 0)).actions
    tapped = PolicyEngine(loaded, bundles)
    eager = {
        seed: tapped.infer(frame, INSTRUCTION, (1, 0), edits_of(bundles, seed)) for seed in SEEDS
    }
    assert all(inference.sites for inference in eager.values())  # read out while it is there
    tapped.close()
    bare = CompiledEngine(loaded)
    bare.warm_up()
    plain = bare.infer(frame, INSTRUCTION, (1, 0)).actions
    bare.close()
    told: list[str] = []
    engine = CompiledEngine(loaded, bundles, progress=told.append)
    engine.warm_up()
    yield Compiled(loaded, frame, before, plain, bundles, engine, told, eager)
    engine.close()


def edits_of(bundles: list[SaeBundle], seed: int) -> Snapshot:
    """Return one to five edits on every site, of every mode, drawn from a seed."""
    random = np.random.default_rng(seed)
    edits = {}
    for bundle in bundles:
        size = bundle.card.dictionary_size
        edits[bundle.card.site] = tuple(
            AppliedEdit(int(random.integers(size)), mode, float(random.normal(0, 6)), 1.0)
            for mode in map(
                Mode, random.integers(0, len(Mode), int(random.integers(1, 6))).tolist()
            )
        )
    return Snapshot(seed, edits, cap=float(random.choice([0.2, 1.5])))


def test_compiling_leaves_the_plain_policys_actions_within_rounding(it: Compiled) -> None:
    np.testing.assert_allclose(it.plain, it.before, atol=ROUNDING)


def test_without_edits_it_acts_as_the_compiled_plain_policy_to_the_bit(it: Compiled) -> None:
    for steering in (Snapshot(), edits_of(it.bundles, 1), Snapshot()):
        inference = it.engine.infer(it.frame, INSTRUCTION, (1, 0), steering)
    assert inference.actions.tobytes() == it.plain.tobytes()
    assert all(len(site.index) and np.isnan(site.tap_ms) for site in inference.sites)


@pytest.mark.parametrize("seed", SEEDS)
def test_edited_it_acts_and_reads_as_the_eager_policy_within_the_compilers_rounding(
    it: Compiled, seed: int
) -> None:
    compiled = it.engine.infer(it.frame, INSTRUCTION, (1, 0), edits_of(it.bundles, seed))
    np.testing.assert_allclose(compiled.actions, it.eager[seed].actions, atol=ROUNDING, rtol=1e-3)
    assert np.abs(compiled.actions - it.plain).max() > 10 * ROUNDING
    for one, other in zip(compiled.sites, it.eager[seed].sites, strict=True):
        assert one.index.tolist() == other.index.tolist()
        np.testing.assert_allclose(one.applied, other.applied, atol=1e-3)
        assert one.edit_norm_ratio == pytest.approx(other.edit_norm_ratio, rel=1e-3)
        assert one.capped == other.capped


def test_no_change_of_edits_or_instruction_compiles_anything_anew(it: Compiled) -> None:
    actions = {
        it.engine.infer(
            it.frame, "butter " * (seed % 5), (1, 0), edits_of(it.bundles, seed)
        ).actions.tobytes()
        for seed in range(CHANGES)
    }
    assert len(actions) == CHANGES
    # Pictures of the very size that the policy scales them to lie otherwise in memory.
    small = {key: value[::4, ::4] if value.ndim == 3 else value for key, value in it.frame.items()}
    it.engine.infer(small, INSTRUCTION, (1, 0))
    most = tuple(AppliedEdit(n, Mode.ADD, 1.0, 1.0) for n in range(64))
    it.engine.infer(it.frame, INSTRUCTION, (1, 0), Snapshot(1, {it.bundles[0].card.site: most}))
    assert it.engine.recompilations == 0


def test_every_part_is_announced_and_its_time_told(it: Compiled) -> None:
    assert "minutes the first time" in it.told[0]
    assert [text.split(",")[0] for text in it.told[1:]] == [
        f"{word} part {n} of 3" for n in (1, 2, 3) for word in ("compiling", "compiled")
    ]
    if it.loaded.policy.name == "smolvla":
        assert list(Path(os.environ[CACHE_VARIABLE]).glob("*/*.so"))


def test_readers_that_the_graph_does_not_have_are_refused(it: Compiled) -> None:
    with pytest.raises(ConfigurationError, match=r"compiled already.*compile:=never"):
        it.engine.attach_probe("backbone.0", True, lambda _x, _norm: None)
    with pytest.raises(ConfigurationError, match="compile:=never"):
        it.engine.attach_substitution(it.bundles[0])
    with pytest.raises(ConfigurationError, match="compile:=never"):
        it.engine.attach_injection("backbone.0")


def test_closed_it_leaves_the_policy_as_it_was(it: Compiled) -> None:
    it.engine.close()
    again = PolicyEngine(it.loaded).infer(it.frame, INSTRUCTION, (1, 0)).actions
    assert again.tobytes() == it.before.tobytes()


def test_a_policy_that_cannot_be_compiled_says_why(
    loaded: LoadedPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = CompiledEngine(loaded)
    # What cannot be in a graph: a branch on a number that only the inference knows.
    # A module keeps its parts in a dictionary: setattr would not give this one back.
    parts_of = loaded.policy.model._modules
    monkeypatch.setitem(parts_of, "state_proj", _Branching(parts_of["state_proj"]))
    try:
        with pytest.raises(NotCompiled, match=r"could not be compiled.*compile:=never"):
            engine.warm_up()
    finally:
        engine.close()


def test_a_family_without_denoising_steps_is_refused_by_name(loaded: LoadedPolicy) -> None:
    class Other:
        name = "xvla"

    with pytest.raises(NotCompiled, match=r"xvla.*smolvla"):
        CompiledEngine(replace(loaded, policy=Other()))


class _Branching(torch.nn.Module):
    def __init__(self, projection: torch.nn.Module) -> None:
        super().__init__()
        self.projection = projection

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        projected: torch.Tensor = self.projection(state)
        return projected if float(projected.sum()) > 0.0 else -projected
