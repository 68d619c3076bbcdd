"""One tap against arithmetic written out in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vla_sae_ros.core.steering import AppliedEdit, Mode
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.policy.taps.probe import Probe
from vla_sae_ros.policy.taps.tap import Tap
from vla_sae_ros.policy.taps.tokens import Tokens
from vla_sae_ros.sae import ReLUSAE, TopKSAE

WIDTH, FEATURES, K, TOKENS = 12, 30, 5, 7
BACKBONE = Site("backbone.0", WIDTH, ("camera", "language"), 1)
EXPERT = Site("expert.0", WIDTH, ("action",), 3)
NO_CAP = float("inf")


@pytest.fixture
def sae() -> TopKSAE:
    generator = torch.Generator().manual_seed(3)
    rows = torch.nn.functional.normalize(torch.randn(FEATURES, WIDTH, generator=generator), dim=-1)
    bias = 0.1 * torch.randn(WIDTH, generator=generator)
    return TopKSAE(rows.T.clone(), torch.zeros(FEATURES), rows, bias, K, "layer_norm")


@pytest.fixture
def stream() -> torch.Tensor:
    return 3.0 * torch.randn(1, TOKENS, WIDTH, generator=torch.Generator().manual_seed(4)) + 0.5


@pytest.fixture
def tokens() -> Tokens:
    """Four camera tokens, two words and one padded slot."""
    camera = torch.tensor([[1, 1, 1, 1, 0, 0, 0]]).bool()
    language = torch.tensor([[0, 0, 0, 0, 1, 1, 0]]).bool()
    return Tokens(lambda: {"camera": camera, "language": language})


def action_tokens() -> Tokens:
    return Tokens(lambda: {"action": torch.ones(1, TOKENS).bool()})


def encode(sae: TopKSAE, x: np.ndarray) -> tuple[np.ndarray, float]:
    """Dense code and scale of one vector, in numpy, independently of the module."""
    scale = x.std(ddof=1)
    normalised = (x - x.mean()) / (scale + 1e-5)
    hidden = (normalised - sae.b_dec.numpy()) @ sae.W_enc.numpy() + sae.b_enc.numpy()
    code = np.zeros(FEATURES)
    top = np.argsort(hidden)[-K:]
    code[top] = np.maximum(hidden[top], 0.0)
    return code, scale


def test_without_an_edit_nothing_is_added(
    sae: TopKSAE, stream: torch.Tensor, tokens: Tokens
) -> None:
    tap = Tap(BACKBONE, sae, pooled=True)
    tap.begin(tokens, (), NO_CAP)
    assert tap(stream) is None


def test_what_is_read_is_the_code_of_the_mean_over_real_tokens(
    sae: TopKSAE, stream: torch.Tensor, tokens: Tokens
) -> None:
    tap = Tap(BACKBONE, sae, pooled=True)
    tap.begin(tokens, (), NO_CAP)
    tap(stream)
    readout = tap.reading().readout()
    code, _ = encode(sae, stream[0, :6].mean(0).numpy())
    assert readout.index.tolist() == np.flatnonzero(code).tolist()
    np.testing.assert_allclose(readout.natural, code[readout.index], rtol=1e-4)
    np.testing.assert_array_equal(readout.natural, readout.applied)
    assert readout.edit_norm_ratio == 0.0
    assert not readout.capped
    assert readout.residual_norm == pytest.approx(
        float(stream[0, :6].norm(dim=-1).mean()), rel=1e-5
    )


def test_padded_tokens_have_no_say(sae: TopKSAE, stream: torch.Tensor, tokens: Tokens) -> None:
    tap = Tap(BACKBONE, sae, pooled=True)
    edits = (AppliedEdit(2, Mode.CLAMP, 5.0, 1.0),)
    deltas = []
    for padding in (0.0, 1e6):
        stream[0, 6] = padding
        tap.begin(tokens, edits, NO_CAP)
        deltas.append(tap(stream))
        assert (deltas[-1][0, 6] == 0).all()
    assert torch.equal(*deltas)


@pytest.mark.parametrize(
    ("mode", "value", "weight"),
    [(Mode.CLAMP, 4.0, 1.0), (Mode.CLAMP, 4.0, 0.25), (Mode.ADD, 2.0, 1.0), (Mode.SCALE, 3.0, 0.5)],
)
@pytest.mark.parametrize("pooled", [True, False])
def test_the_residual_changes_by_the_codes_difference(
    sae: TopKSAE,
    stream: torch.Tensor,
    tokens: Tokens,
    mode: Mode,
    value: float,
    weight: float,
    pooled: bool,
) -> None:
    active = int(encode(sae, stream[0, :6].mean(0).numpy())[0].argmax())
    edited = [active, (active + 1) % FEATURES]
    tap = Tap(BACKBONE, sae, pooled)
    tap.begin(tokens, tuple(AppliedEdit(f, mode, value, weight) for f in edited), NO_CAP)
    delta = tap(stream)[0].numpy()
    for token in range(6):
        source = stream[0, :6].mean(0) if pooled else stream[0, token]
        code, scale = encode(sae, source.numpy())
        changed = code.copy()
        for f in edited:
            wanted = {Mode.CLAMP: value, Mode.ADD: code[f] + value, Mode.SCALE: code[f] * value}[
                mode
            ]
            changed[f] = code[f] + weight * (wanted - code[f])
        expected = (changed - code) @ sae.W_dec.numpy() * scale
        np.testing.assert_allclose(delta[token], expected, atol=2e-4)
    if pooled:
        readout = tap.reading().readout()
        shown = dict(zip(readout.index.tolist(), readout.applied.tolist(), strict=True))
        assert [shown[f] for f in edited] == pytest.approx([changed[f] for f in edited], abs=1e-4)


def test_project_out_leaves_no_component_along_the_direction(
    sae: TopKSAE, stream: torch.Tensor, tokens: Tokens
) -> None:
    tap = Tap(BACKBONE, sae, pooled=True)
    tap.begin(tokens, (AppliedEdit(3, Mode.PROJECT_OUT, 0.0, 1.0),), NO_CAP)
    after = stream + tap(stream)
    along = after[0, :6] @ sae.W_dec[3]
    torch.testing.assert_close(along, torch.zeros(6), atol=1e-5, rtol=0)


def test_an_edit_reaches_only_the_tokens_in_its_scope(
    sae: TopKSAE, stream: torch.Tensor, tokens: Tokens
) -> None:
    tap = Tap(BACKBONE, sae, pooled=True)
    edits = (AppliedEdit(1, Mode.ADD, 2.0, 1.0, ("language",)), AppliedEdit(2, Mode.ADD, 2.0, 1.0))
    tap.begin(tokens, edits, NO_CAP)
    delta = tap(stream)[0]
    scale = encode(sae, stream[0, :6].mean(0).numpy())[1]
    torch.testing.assert_close(delta[0], 2.0 * sae.W_dec[2] * scale, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        delta[4], 2.0 * (sae.W_dec[1] + sae.W_dec[2]) * scale, atol=1e-4, rtol=1e-4
    )
    assert (delta[6] == 0).all()


def test_an_edit_acts_only_at_its_denoising_steps(sae: TopKSAE, stream: torch.Tensor) -> None:
    tap = Tap(EXPERT, sae, pooled=True)
    tap.begin(action_tokens(), (AppliedEdit(1, Mode.ADD, 2.0, 1.0, (), (1,)),), NO_CAP)
    assert [tap(stream) is not None for _ in range(3)] == [False, True, False]
    assert tap.reading().readout().edit_norm_ratio > 0.0


def test_no_token_changes_by_more_than_the_cap(
    sae: TopKSAE, stream: torch.Tensor, tokens: Tokens
) -> None:
    tap = Tap(BACKBONE, sae, pooled=True)
    tap.begin(tokens, (AppliedEdit(1, Mode.ADD, 500.0, 1.0),), 0.3)
    delta = tap(stream)
    ratio = (delta.norm(dim=-1) / stream.norm(dim=-1))[0]
    torch.testing.assert_close(ratio[:6], torch.full((6,), 0.3))
    readout = tap.reading().readout()
    assert readout.capped
    assert readout.edit_norm_ratio == pytest.approx(0.3)


def test_a_probe_hands_over_what_an_sae_would_read(stream: torch.Tensor, tokens: Tokens) -> None:
    got: list[tuple[torch.Tensor, float]] = []
    for pooled in (True, False):
        probe = Probe(BACKBONE, pooled, ("camera", "language"), lambda *read: got.append(read))
        probe.begin(tokens)
        assert probe(stream) is None
        assert len(got) < 1 + int(not pooled)
        probe.end()
    torch.testing.assert_close(got[0][0], stream[:, :6].mean(1))
    torch.testing.assert_close(got[1][0], stream[0, :6])
    assert got[0][1] == got[1][1] == pytest.approx(float(stream[0, :6].norm(dim=-1).mean()))


def test_a_probe_on_an_expert_reads_the_last_denoising_step_only(stream: torch.Tensor) -> None:
    got: list[torch.Tensor] = []
    probe = Probe(EXPERT, True, ("action",), lambda read, _norm: got.append(read))
    probe.begin(action_tokens())
    for step in range(3):
        probe(stream + step)
    probe.end()
    (read,) = got
    torch.testing.assert_close(read, (stream + 2).mean(1))


def test_a_site_that_did_not_run_as_often_as_it_should_is_an_error(
    sae: TopKSAE, stream: torch.Tensor
) -> None:
    tap = Tap(EXPERT, sae, pooled=True)
    tap.begin(action_tokens(), (), NO_CAP)
    tap(stream)
    with pytest.raises(RuntimeError, match="ran 1 times, not 3"):
        tap.reading().readout()


@pytest.mark.parametrize("pooled", [True, False])
def test_an_edited_feature_is_exact_though_more_are_active_than_listed(
    stream: torch.Tensor, tokens: Tokens, pooled: bool
) -> None:
    generator = torch.Generator().manual_seed(3)
    rows = torch.nn.functional.normalize(torch.randn(FEATURES, WIDTH, generator=generator), dim=-1)
    few = ReLUSAE(rows.T.clone(), torch.zeros(FEATURES), rows, torch.zeros(WIDTH), k=2)
    weakest = few.encode(stream[0, :6].mean(0) if pooled else stream[0, 0])
    feature = int(torch.where(weakest > 0, weakest, torch.inf).argmin())
    tap = Tap(BACKBONE, few, pooled)
    tap.begin(tokens, (AppliedEdit(feature, Mode.SCALE, 0.0, 1.0),), NO_CAP)
    delta = tap(stream)[0]
    torch.testing.assert_close(delta[0], -weakest[feature] * rows[feature], atol=1e-5, rtol=1e-4)
    readout = tap.reading().readout()
    read = few.encode(stream[0, :6].mean(0)[None] if pooled else stream[0, :6]).amax(0)
    at = readout.index.tolist().index(feature)
    assert readout.natural[at] == pytest.approx(float(read[feature]), rel=1e-5)
    assert readout.applied[at] == pytest.approx(0.0, abs=1e-6)
    assert len(readout.index) + readout.unlisted == int((read > 0).sum())
    assert readout.unlisted > 0 or not pooled


@pytest.mark.parametrize("pooled", [True, False])
def test_overlapping_scopes_add_up_and_projections_follow_one_another(
    sae: TopKSAE, stream: torch.Tensor, tokens: Tokens, pooled: bool
) -> None:
    edits = (
        AppliedEdit(1, Mode.ADD, 2.0, 1.0, ("language",)),
        AppliedEdit(2, Mode.CLAMP, 4.0, 0.5),
        AppliedEdit(3, Mode.PROJECT_OUT, 0.0, 1.0, ("camera",)),
        AppliedEdit(4, Mode.PROJECT_OUT, 0.0, 0.5, ("camera",)),
        AppliedEdit(5, Mode.PROJECT_OUT, 0.0, 1.0),
    )
    tap = Tap(BACKBONE, sae, pooled)
    tap.begin(tokens, edits, NO_CAP)
    delta = tap(stream)[0].numpy()
    rows = sae.W_dec.numpy()
    for token in range(6):
        x = stream[0, token].numpy()
        code, scale = encode(sae, stream[0, :6].mean(0).numpy() if pooled else x)
        expected = 0.5 * (4.0 - code[2]) * rows[2] * scale
        if token >= 4:
            expected = expected + 2.0 * rows[1] * scale
        else:
            left = x - (x @ rows[3]) * rows[3]
            left = left - 0.5 * (left @ rows[4]) * rows[4]
            expected = expected + (left - x)
        expected = expected - (x @ rows[5]) * rows[5]
        np.testing.assert_allclose(delta[token], expected, atol=3e-4)
    assert (delta[6] == 0).all()
    readout = tap.reading().readout()
    assert set(readout.index.tolist()) >= {1, 2, 3, 4, 5}


def test_an_edit_that_replaces_another_of_its_feature_adds_up_in_the_read_out(
    sae: TopKSAE, stream: torch.Tensor, tokens: Tokens
) -> None:
    tap = Tap(BACKBONE, sae, pooled=True)
    edits = (AppliedEdit(1, Mode.CLAMP, 4.0, 0.25), AppliedEdit(1, Mode.ADD, 2.0, 0.75))
    tap.begin(tokens, edits, NO_CAP)
    delta = tap(stream)[0]
    code, scale = encode(sae, stream[0, :6].mean(0).numpy())
    change = 0.25 * (4.0 - code[1]) + 0.75 * 2.0
    torch.testing.assert_close(delta[0], change * sae.W_dec[1] * float(scale), atol=1e-4, rtol=1e-4)
    readout = tap.reading().readout()
    at = readout.index.tolist().index(1)
    assert readout.applied[at] == pytest.approx(code[1] + change, abs=1e-4)


def test_a_token_outside_the_scope_keeps_its_z_in_the_read_out_of_a_per_token_sae(
    sae: TopKSAE, stream: torch.Tensor, tokens: Tokens
) -> None:
    z = sae.encode(stream[0, :6])
    feature = int(z[:4].amax(0).argmax())
    tap = Tap(BACKBONE, sae, pooled=False)
    tap.begin(tokens, (AppliedEdit(feature, Mode.SCALE, 0.0, 1.0, ("language",)),), NO_CAP)
    tap(stream)
    readout = tap.reading().readout()
    at = readout.index.tolist().index(feature)
    assert readout.natural[at] == pytest.approx(float(z[:, feature].max()), rel=1e-4)
    assert readout.applied[at] == pytest.approx(float(z[:4, feature].max()), rel=1e-4)


def test_a_half_precision_stream_gets_a_difference_of_its_type_computed_in_float32(
    sae: TopKSAE, stream: torch.Tensor, tokens: Tokens
) -> None:
    half = stream.to(torch.bfloat16)
    edits = (AppliedEdit(1, Mode.CLAMP, 4.0, 1.0), AppliedEdit(2, Mode.PROJECT_OUT, 0.0, 1.0))
    tap = Tap(BACKBONE, sae, pooled=True)
    with torch.inference_mode():
        tap.begin(tokens, edits, 1.0)
        delta = tap(half)
        tap.begin(tokens, edits, 1.0)
        exact = tap(half.to(torch.float32))
    assert delta.dtype == torch.bfloat16
    assert torch.equal(delta, exact.to(torch.bfloat16))


def test_an_add_alone_needs_no_code(
    sae: TopKSAE, stream: torch.Tensor, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    tap = Tap(BACKBONE, sae, pooled=True)
    tap.begin(tokens, (AppliedEdit(1, Mode.ADD, 2.0, 1.0),), NO_CAP)
    with monkeypatch.context() as patched:
        patched.setattr(type(sae), "encode_normalized", None)  # calling it would be an error
        assert tap(stream) is not None
    assert 1 in tap.reading().readout().index


class AskedNumbers(TorchDispatchMode):
    """Keeps the names of operations for which a GPU would have to hand something to the host."""

    WAITS = ("_local_scalar_dense", "nonzero", "_unique2", "unique_dim", "masked_select")

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in self.WAITS:
            self.names.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("cap", [0.1, NO_CAP])
def test_a_ramp_asks_no_tensor_for_a_number_while_the_policy_infers(
    sae: TopKSAE, stream: torch.Tensor, tokens: Tokens, pooled: bool, cap: float
) -> None:
    tap = Tap(BACKBONE, sae, pooled)
    with torch.no_grad(), AskedNumbers() as asked:  # inference mode shows compound operations only
        for weight in (0.5, 1.0):
            edits = (
                AppliedEdit(3, Mode.CLAMP, 2.0, weight),
                AppliedEdit(3, Mode.ADD, 1.0, weight),
                AppliedEdit(4, Mode.SCALE, 0.0, weight),
            )
            projected = (*edits, AppliedEdit(5, Mode.PROJECT_OUT, 0.0, weight))
            for acting in (edits, edits[1:2], projected):
                tap.begin(tokens, acting, cap)
                assert tap(stream) is not None
        assert not asked.names
        float(stream.sum())
    assert asked.names == ["_local_scalar_dense"], "what would wait is noticed"
