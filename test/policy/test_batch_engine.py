"""A batch in which every row has its own steering, on lerobot's own classes, shrunken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from same_inference import assert_alike
from tiny_families import statistics

from vla_sae_ros.core.errors import ConfigurationError, ObservationError
from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.policy.batch_engine import BatchEngine, Row
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny.tiny_pi import PiSize, build_tiny_pi, save_tiny_pi
from vla_sae_ros.policy.tiny.tiny_smolvla import CAMERA_KEYS
from vla_sae_ros.sae import SaeBundle

MakeBundle = Callable[..., SaeBundle]

BOUND = {"smolvla": 2e-5, "pi0": 2e-5, "pi05": 2e-5}
"""Largest difference of an action, of a size of about 1, from that of the row alone (float32)."""
INSTRUCTION = "pick up the butter and place it in the basket"
SITE = "backbone.1"
SITES = (SITE, "expert.0")
EDITS = {
    "add": (AppliedEdit(3, Mode.ADD, 8.0, 1.0),),
    "clamp": (AppliedEdit(5, Mode.CLAMP, 4.0, 0.5),),
    "project": (AppliedEdit(2, Mode.PROJECT_OUT, 1.0, 1.0),),
}


@pytest.fixture(scope="module", params=list(BOUND))
def loaded_family(
    request: pytest.FixtureRequest, tiny_policy_folder: Path, tmp_path_factory
) -> LoadedPolicy:
    if request.param == "smolvla":
        return load_policy(tiny_policy_folder)
    folder = tmp_path_factory.mktemp(request.param)
    save_tiny_pi(build_tiny_pi(request.param), PiSize(), statistics(), folder)
    return load_policy(folder)


def frame(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    pictures = {key: random.integers(0, 256, (256, 256, 3), dtype=np.uint8) for key in CAMERA_KEYS}
    return {**pictures, "observation.state": random.normal(size=8).astype(np.float32)}


def row(
    engine: BatchEngine,
    seed: int,
    edits: str = "",
    instruction: str = INSTRUCTION,
    bundles: Sequence[SaeBundle] = (),
) -> Row:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, *engine.adapter.noise_shape, generator=generator)
    steering = Snapshot(seed, {SITE: EDITS[edits]} if edits else {})
    return Row(frame(seed), instruction, noise, steering, engine.taps(bundles))


def test_a_row_gives_what_it_gives_alone(loaded_family, make_bundle) -> None:
    bundle = make_bundle(loaded_family, SITE)
    alone = PolicyEngine(loaded_family, [bundle])
    batch = BatchEngine(loaded_family)
    edits = ("", "add", "clamp", "project")
    rows = [row(batch, number, edit, bundles=[bundle]) for number, edit in enumerate(edits, 1)]
    wanted = [alone.infer_from(r.frame, r.instruction, r.noise, r.steering) for r in rows]
    for inference in wanted:
        assert inference.sites
    alone.close()
    try:
        got = batch.infer(rows)
    finally:
        batch.close()
    plain = [one.actions for one in wanted]
    assert max(np.abs(plain[0] - other).max() for other in plain[1:]) > 1e-3
    for ours, theirs, asked in zip(got, wanted, rows, strict=True):
        bound = BOUND[loaded_family.policy.name]
        np.testing.assert_allclose(ours.actions, theirs.actions, atol=bound)
        assert ours.revision == asked.steering.revision
        for one, other in zip(ours.sites, theirs.sites, strict=True):
            assert_alike(one, other)


@pytest.mark.parametrize("pooling", ["mean", "token"])
def test_plain_rows_do_not_notice_their_neighbours_edits(
    loaded_family, make_bundle, pooling: str
) -> None:
    engine = BatchEngine(loaded_family)
    bundles = [make_bundle(loaded_family, SITE, pooling=pooling)]
    try:
        plain = engine.infer([row(engine, seed) for seed in (1, 2, 3)])
        # The first has taps and no edit, the last has none: both are plain.
        edited = engine.infer(
            [
                row(engine, 1, bundles=bundles),
                row(engine, 2, "add", bundles=bundles),
                row(engine, 3),
            ]
        )
    finally:
        engine.close()
    for number in (0, 2):
        np.testing.assert_array_equal(edited[number].actions, plain[number].actions)
    assert not np.array_equal(edited[1].actions, plain[1].actions)


def test_a_batch_of_one_is_the_single_inference_to_the_bit(loaded_family, make_bundle) -> None:
    bundle = make_bundle(loaded_family, SITE)
    batch = BatchEngine(loaded_family)
    asked = row(batch, 5, "add", bundles=[bundle])
    (got,) = batch.infer([asked])
    batch.close()
    alone = PolicyEngine(loaded_family, [bundle])
    wanted = alone.infer_from(asked.frame, asked.instruction, asked.noise, asked.steering)
    alone.close()
    np.testing.assert_array_equal(got.actions, wanted.actions)


def test_rows_with_instructions_of_other_lengths_keep_their_order(loaded_family) -> None:
    engine = BatchEngine(loaded_family)
    rows = [
        row(engine, number, instruction=words)
        for number, words in enumerate([INSTRUCTION, "pick", INSTRUCTION, "pick up the butter"])
    ]
    alone = [engine.infer([one])[0].actions for one in rows]
    for got, wanted in zip(engine.infer(rows), alone, strict=True):
        np.testing.assert_allclose(got.actions, wanted, atol=BOUND[loaded_family.policy.name])


def test_an_observation_that_does_not_fit_is_refused_before_anything_is_computed(
    loaded_family,
) -> None:
    engine = BatchEngine(loaded_family)
    bad = row(engine, 1)
    bad.frame["observation.state"][0] = np.nan  # type: ignore[index]
    with pytest.raises(ObservationError, match="state"):
        engine.infer([row(engine, 2), bad])


def test_rows_may_have_other_autoencoders_on_other_sites(loaded_family, make_bundle) -> None:
    here, there = (make_bundle(loaded_family, site) for site in SITES)
    again = make_bundle(loaded_family, SITES[0], pooling="token")
    engine = BatchEngine(loaded_family)
    steered = Snapshot(1, {SITES[0]: EDITS["add"], SITES[1]: EDITS["clamp"]})
    rows = [
        replace(row(engine, number, bundles=bundles), steering=steered)
        for number, bundles in enumerate([[here], [there], [again], [here, there], []])
    ]
    got = engine.infer(rows)
    for one, asked in zip(got, rows, strict=True):
        assert [site.site for site in one.sites] == [tap.site.name for tap in asked.taps]
    engine.close()
    for number, bundles in enumerate([[here], [there], [again], [here, there], []]):
        alone = PolicyEngine(loaded_family, bundles)
        asked = rows[number]
        wanted = alone.infer_from(asked.frame, asked.instruction, asked.noise, steered)
        alone.close()
        bound = BOUND[loaded_family.policy.name]
        np.testing.assert_allclose(got[number].actions, wanted.actions, atol=bound)


def test_a_probe_reads_its_own_row(loaded_family) -> None:
    engine, read = BatchEngine(loaded_family), {}
    probes = [
        engine.probe(SITE, True, lambda x, norm, number=number: read.update({number: (x, norm)}))
        for number in range(3)
    ]
    rows = [replace(row(engine, number), probes=(probe,)) for number, probe in enumerate(probes)]
    engine.infer(rows)
    engine.close()
    alone = PolicyEngine(loaded_family)
    found = []
    alone.attach_probe(SITE, True, lambda x, norm: found.append((x, norm)))
    for asked in rows:
        alone.infer_from(asked.frame, asked.instruction, asked.noise)
    alone.close()
    for number, (activations, norm) in enumerate(found):
        torch.testing.assert_close(read[number][0], activations, atol=1e-5, rtol=1e-4)
        assert read[number][1] == pytest.approx(norm, rel=1e-4)


def test_rows_of_a_family_that_was_not_shown_to_batch_are_those_alone_to_the_bit(
    loaded, monkeypatch, make_bundle
) -> None:
    monkeypatch.setattr("vla_sae_ros.policy.batch_engine.BATCHED_FAMILIES", ("pi0",))
    engine = BatchEngine(loaded)
    assert not engine.together
    bundles = [make_bundle(loaded, SITE)]
    rows = [row(engine, 1), row(engine, 2, "add", bundles=bundles), row(engine, 3)]
    together = [one.actions for one in engine.infer(rows)]
    alone = [engine.infer([one])[0].actions for one in rows]
    engine.close()
    np.testing.assert_array_equal(together, alone)


def test_a_batch_without_the_statistics_to_normalise_by_is_refused(
    loaded: LoadedPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    (step,) = [one for one in loaded.preprocessor.steps if hasattr(one, "norm_map")]
    monkeypatch.setattr(step, "stats", {})
    engine = BatchEngine(loaded)
    with pytest.raises(ObservationError, match="statistics"):
        engine.infer([row(engine, 1)])
    with pytest.raises(ConfigurationError, match="statistics"):
        engine.observe({key: getattr(value, "shape", None) for key, value in frame(1).items()})
    engine.close()
