"""The stream of one inference in the place of another's: then the donor's passes the site."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.tiny.tiny_smolvla import CAMERA_KEYS
from vla_sae_ros.sae import SaeBundle

TOLD = "pick up the butter and place it in the basket"


def frame(engine: PolicyEngine, seed: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {
        name: draw.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        if name in CAMERA_KEYS
        else draw.normal(size=8).astype(np.float32)
        for name in engine.input_features
    }


@pytest.mark.parametrize("site", ["backbone.1", "expert.1"])
def test_what_passes_the_site_is_the_donors_and_the_answer_follows(
    loaded: LoadedPolicy, site: str
) -> None:
    engine = PolicyEngine(loaded)
    try:
        one, other = frame(engine, 1), frame(engine, 2)
        injection = engine.attach_injection(site)
        seen: list[torch.Tensor] = []
        engine.attach_probe(site, False, lambda rows, _norm: seen.append(rows.clone()))
        donor = engine.infer(one, TOLD, (1, 0)).actions
        taken = injection.taken()
        plain = engine.infer(other, TOLD, (2, 0)).actions
        injection.give(taken)
        injected = engine.infer(other, TOLD, (2, 0)).actions
        injection.give(None)
        again = engine.infer(other, TOLD, (2, 0)).actions
    finally:
        engine.close()
    torch.testing.assert_close(seen[2], seen[0], atol=1e-5, rtol=1e-4)
    assert not np.allclose(injected, plain) and not np.allclose(injected, donor)
    assert np.array_equal(again, plain)


def test_an_inferences_own_stream_changes_nothing_to_the_bit(loaded: LoadedPolicy) -> None:
    engine = PolicyEngine(loaded)
    try:
        seen = frame(engine, 1)
        injection = engine.attach_injection("backbone.1")
        plain = engine.infer(seen, TOLD, (1, 0)).actions
        injection.give(injection.taken())
        assert np.array_equal(engine.infer(seen, TOLD, (1, 0)).actions, plain)
    finally:
        engine.close()


def test_only_the_groups_asked_for_are_replaced(loaded: LoadedPolicy) -> None:
    engine = PolicyEngine(loaded)
    try:
        injection = engine.attach_injection("backbone.1", ["camera"])
        one, other = frame(engine, 1), frame(engine, 2)
        engine.infer(one, TOLD, (1, 0))
        taken = injection.taken()
        assert list(taken.runs[0]) == ["camera"]
        injection.give(taken)
        engine.infer(other, "another instruction of other length", (2, 0))
        with pytest.raises(ConfigurationError, match="token groups"):
            engine.attach_injection("backbone.1", ["action"])
    finally:
        engine.close()


def test_a_tap_at_the_site_reads_what_goes_on_to_the_next_layer(
    loaded: LoadedPolicy, make_bundle: Callable[..., SaeBundle]
) -> None:
    engine = PolicyEngine(loaded, [make_bundle(loaded, "backbone.1")])
    try:
        one, other = frame(engine, 1), frame(engine, 2)
        injection = engine.attach_injection("backbone.1")
        donor = engine.infer(one, TOLD, (1, 0)).sites[0]
        injection.give(injection.taken())
        injected = engine.infer(other, TOLD, (2, 0)).sites[0]
        injection.give(None)
        plain = engine.infer(other, TOLD, (2, 0)).sites[0]
    finally:
        engine.close()
    assert injected.residual_norm == pytest.approx(donor.residual_norm, rel=1e-4)
    assert injected.fvu == pytest.approx(donor.fvu, rel=1e-3)
    assert plain.residual_norm != pytest.approx(donor.residual_norm, rel=1e-4)
