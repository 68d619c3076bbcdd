"""pi0-FAST decodes as many tokens as it likes: what its sites' runs, and their absence, mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from fast_stand_in import stand_in_for_fast
from tiny_families import LAYERS, NO_CAP, TinyFamily, statistics
from torch import Tensor

from vla_sae_ros.cli import main
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.families.chunk import PreviousChunk
from vla_sae_ros.policy.families.registry import adapter_for
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.taps.probe import Probe
from vla_sae_ros.policy.taps.tokens import Tokens
from vla_sae_ros.policy.tiny.tiny_pi import PiSize, build_tiny_pi, save_tiny_pi, write_pi_tokenizer
from vla_sae_ros.policy.tiny.tiny_smolvla import CAMERA_KEYS
from vla_sae_ros.sae import SaeBundle

DECODED = PiSize().decoded
FRAME = {
    **dict.fromkeys(CAMERA_KEYS, np.full((256, 256, 3), 90, np.uint8)),
    "observation.state": np.zeros(8, np.float32),
}


@pytest.fixture
def it(tiny: Callable[[str], TinyFamily]) -> TinyFamily:
    return tiny("pi0_fast")


@contextmanager
def ending_after(policy: torch.nn.Module, tokens: int) -> Iterator[None]:
    """Let the LM head say that the action ends at this token, counted from 1."""
    end = policy._paligemma_tokenizer.convert_tokens_to_ids("|")
    calls: list[int] = []

    def say(_module: torch.nn.Module, _args: object, logits: Tensor) -> Tensor | None:
        calls.append(1)
        if len(calls) % tokens:
            return None
        logits = logits.clone()
        logits[..., end] = 1e6
        return logits

    watch = policy.model.paligemma_with_expert.paligemma.lm_head.register_forward_hook(say)
    try:
        yield
    finally:
        watch.remove()


@pytest.mark.parametrize("tokens", [1, 3, DECODED])
def test_a_decode_site_runs_once_per_token_that_is_fed_back(it: TinyFamily, tokens: int) -> None:
    site = it.adapter.sites["decode.1"]
    assert (site.runs_per_inference, site.may_stop_early) == (DECODED - 1, True)
    read: list[Tensor] = []
    handed: list[Tensor] = []
    probe = Probe(site, True, ("action",), lambda values, _norm: handed.append(values))
    tap = it.tap("decode.1")
    masks = it.adapter.token_masks("decode.1", it.batch)
    for reader in (probe.begin, lambda one: tap.begin(one, (), NO_CAP)):
        reader(Tokens(lambda: masks))
    functions = (tap, probe, lambda x: read.append(x.clone()))
    handles = [it.adapter.attach("decode.1", function) for function in functions]
    with ending_after(it.policy, tokens):
        it.predict()
    for handle in handles:
        handle.remove()
    probe.end()
    assert [x.shape[1] for x in read] == [1] * (tokens - 1)
    readout = tap.reading().readout()
    if tokens == 1:
        assert len(readout.index) == len(handed) == 0 and np.isnan(readout.fvu)
    else:
        assert torch.equal(handed[0], read[-1][:, 0])
        assert readout.residual_norm == pytest.approx(float(read[-1].norm()), rel=1e-5)


def test_a_step_is_a_decoded_token(it: TinyFamily) -> None:
    plain = it.predict()
    tap = it.tap("decode.0")
    masks = it.adapter.token_masks("decode.0", it.batch)
    edits = (AppliedEdit(3, Mode.ADD, 50.0, 1.0, denoising_steps=(1,)),)
    tap.begin(Tokens(lambda: masks), edits, NO_CAP)
    steered = it.with_function("decode.0", tap)
    assert torch.equal(steered[:2], plain[:2]), "logits of the prompt and of step 0"
    assert not torch.equal(steered[2], plain[2])


def test_the_last_layer_steers_through_the_token_that_is_read_and_no_other(
    it: TinyFamily,
) -> None:
    last = f"backbone.{LAYERS - 1}"
    masks = it.adapter.token_masks(last, it.batch)
    plain = it.predict()

    def push(mask: Tensor) -> Tensor:
        return it.with_function(last, lambda x: 3.0 * torch.ones_like(x) * mask[..., None])

    assert torch.equal(push(masks["camera"]), plain)
    begin = torch.zeros_like(masks["camera"])
    begin[:, -1] = True
    assert bool(masks["language"][0, -1])
    assert torch.equal(push(masks["language"] & ~begin), plain)
    assert not torch.equal(push(begin), plain)


def test_without_a_cache_a_policy_is_refused_and_why(it: TinyFamily) -> None:
    it.policy.config.use_kv_cache = False
    try:
        with pytest.raises(ConfigurationError, match="Set use_kv_cache to true"):
            adapter_for("pi0_fast", it.policy)
    finally:
        it.policy.config.use_kv_cache = True


def test_a_previous_chunk_is_refused(it: TinyFamily) -> None:
    with pytest.raises(ConfigurationError, match="no real-time chunking"):
        it.predict(previous=PreviousChunk(torch.zeros(1, 4, 7), delay=1))


def test_a_temperature_draws_from_the_noise_it_is_given(it: TinyFamily) -> None:
    it.policy.config.temperature = 5.0
    try:
        assert not adapter_for("pi0_fast", it.policy).sites["decode.0"].may_stop_early
        first, again = it.predict(), it.predict()
        with torch.inference_mode():
            noises = [it.noise + float(n) for n in range(4)]
            chunks = [it.adapter.predict(dict(it.batch), noise) for noise in noises]
    finally:
        it.policy.config.temperature = 0.0
    assert torch.equal(first, again)
    assert any(not torch.equal(chunks[0], chunk) for chunk in chunks[1:])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pi_tokenizer(tmp_path / "words")
    with stand_in_for_fast():
        policy = build_tiny_pi("pi0_fast", text_tokenizer_name=str(tmp_path / "words"))
        save_tiny_pi(policy, PiSize(), statistics(), tmp_path / "policy")
    return tmp_path / "policy"


def test_a_saved_policy_is_loaded_listed_and_steered(
    folder: Path, make_bundle: Callable[..., SaeBundle], capsys: pytest.CaptureFixture[str]
) -> None:
    with stand_in_for_fast():
        loaded = load_policy(folder)
        assert main(["sites", str(folder), "--json"]) == 0
    sites = {site["name"]: site for site in json.loads(capsys.readouterr().out)["sites"]}
    assert sites["decode.2"]["may_stop_early"] and sites["decode.2"]["can_steer"]
    assert sites["backbone.2"]["can_steer"] and sites["backbone.2"]["tokens"]["camera"] == 32
    bundles = [make_bundle(loaded, site, "mean") for site in ("backbone.1", "decode.1")]
    engine = PolicyEngine(loaded, bundles)
    plain = engine.infer(FRAME, "pick up the butter", (1, 0))
    assert plain.actions.shape == (PiSize().chunk, 7)
    edits = {"backbone.1": (AppliedEdit(3, Mode.CLAMP, 80.0, 1.0),)}
    steered = engine.infer(FRAME, "pick up the butter", (1, 0), Snapshot(1, edits))
    assert steered.sites[0].edit_norm_ratio > 0.0
    assert steered.actions.tobytes() != plain.actions.tobytes()
    with ending_after(loaded.policy, 1):
        ended = engine.infer(FRAME, "pick up the butter", (1, 0))
    assert [len(site.index) > 0 for site in ended.sites] == [True, False]


def test_a_missing_action_tokenizer_is_sent_to_the_hub(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="files from the Hugging Face hub"):
        load_policy(folder)
