"""The TopK module against numpy written from SAELens' formulas, and its own promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae import TopKSAE
from vla_sae_ros.sae.kinds.normalization import NORMALIZATIONS

D, F, K = 12, 40, 5


def make_sae(normalization: str = "none", apply_b_dec: bool = True, seed: int = 0) -> TopKSAE:
    torch.manual_seed(seed)
    rows = torch.nn.functional.normalize(torch.randn(F, D))
    return TopKSAE(
        torch.randn(D, F),
        torch.randn(F),
        rows,
        torch.randn(D),
        K,
        normalization,
        apply_b_dec,
        pre_bias=torch.randn(D) if normalization == "l2" else None,
    )


def reference(sae: TopKSAE, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Code and reconstruction of one vector in float64, after SAELens' own definitions."""
    w_enc, b_enc, w_dec, b_dec = (
        getattr(sae, name).numpy().astype(np.float64)
        for name in ("W_enc", "b_enc", "W_dec", "b_dec")
    )
    mean, std = 0.0, 1.0
    x_n = x.astype(np.float64)
    if sae.normalization == "layer_norm":
        mean, std = x_n.mean(), x_n.std(ddof=1)
        x_n = (x_n - mean) / (std + 1e-5)
    if sae.normalization == "constant_norm_rescale":
        std = np.linalg.norm(x_n) / np.sqrt(D)
        x_n = x_n / std
    if sae.normalization == "l2":
        mean = (x_n - sae.pre_bias.numpy()).mean() + sae.pre_bias.numpy()
        std = np.linalg.norm(x_n - mean)
        x_n = (x_n - mean) / std
    hidden = (x_n - b_dec * sae.apply_b_dec_to_input) @ w_enc + b_enc
    code = np.zeros(F)
    kept = np.argsort(-hidden)[:K]
    code[kept] = np.maximum(hidden[kept], 0.0)
    return code, (code @ w_dec + b_dec) * std + mean


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("apply_b_dec", [True, False])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.01, 1.0, 300.0]))
def test_codes_and_reconstruction_are_those_of_the_formulas(
    normalization: str, apply_b_dec: bool, seed: int, scale: float
) -> None:
    sae = make_sae(normalization, apply_b_dec)
    x = (np.random.default_rng(seed).standard_normal(D) * scale + scale).astype(np.float32)
    code, reconstruction = reference(sae, x)
    tolerance = 1e-5 * max(1.0, np.abs(code).max())
    np.testing.assert_allclose(sae.encode(torch.from_numpy(x)).numpy(), code, atol=tolerance)
    np.testing.assert_allclose(
        sae.reconstruct(torch.from_numpy(x)).numpy(), reconstruction, atol=tolerance * (1 + scale)
    )


@pytest.mark.parametrize("shape", [(D,), (1, D), (150, D), (2, 3, D)])
def test_any_leading_shape_is_kept(shape: tuple[int, ...]) -> None:
    sae = make_sae("layer_norm")
    x = torch.randn(shape)
    code = sae.encode_normalized(sae.normalize(x)[0])
    index, value = code.index, code.value
    dense = sae.encode(x)
    assert index.shape == value.shape == (*shape[:-1], K)
    assert index.dtype == torch.int64 and bool((value >= 0).all())
    assert dense.shape == (*shape[:-1], F)
    assert sae.decode(dense).shape == sae.reconstruct(x).shape == shape
    for side in sae.normalize(x)[1:]:
        assert side.shape == (*shape[:-1], 1)
    torch.testing.assert_close(sae.decode(dense), sae.decode_active(code))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_a_code_change_moves_the_reconstruction_by_the_scaled_difference(
    normalization: str,
) -> None:
    sae = make_sae(normalization)
    x = torch.randn(7, D) * 40 + 11
    _, scale, shift = sae.normalize(x)
    z = sae.encode(x)
    changed = z.clone()
    changed[:, 3] = 2.5
    changed[:, 17] += 0.7
    difference = (changed - z) @ sae.W_dec * scale
    whole = (sae.decode(changed) * scale + shift) - (sae.decode(z) * scale + shift)
    torch.testing.assert_close(difference, whole, atol=1e-3, rtol=1e-4)


def test_chosen_features_read_zero_outside_the_top_k() -> None:
    sae = make_sae()
    x = torch.randn(4, 6, D)
    features = torch.tensor([0, 5, 39, 5])
    expected = sae.encode(x)[..., features]
    assert bool((expected == 0).any()) and bool((expected > 0).any())
    code = sae.encode_normalized(sae.normalize(x)[0])
    torch.testing.assert_close(code.of(features), expected)
    code = sae.encode_normalized(sae.normalize(x[0, 0])[0])
    torch.testing.assert_close(code.of(features), expected[0, 0])


def test_normalize_leaves_its_input_alone_and_half_precision_is_read() -> None:
    sae = make_sae("layer_norm")
    x = torch.randn(3, D)
    before = x.clone()
    sae.encode(x)
    torch.testing.assert_close(x, before, atol=0, rtol=0)
    assert sae.encode(x.to(torch.bfloat16)).dtype == torch.float32


def test_it_works_in_inference_mode_and_under_gradients_without_asking_for_any() -> None:
    sae = make_sae("layer_norm")
    x = torch.randn(2, D)
    with torch.inference_mode():
        inside = sae.encode(x)
    with torch.enable_grad():
        assert not sae.reconstruct(x).requires_grad
    torch.testing.assert_close(inside, sae.encode(x))


def test_the_unexplained_fraction_is_that_of_its_definition() -> None:
    sae = make_sae("layer_norm")
    x_n = sae.normalize(torch.randn(9, D) * 5)[0]
    code = sae.encode_normalized(x_n)
    dense = torch.zeros(9, F).scatter(1, code.index, code.value)
    error = x_n - (dense @ sae.W_dec + sae.b_dec)
    expected = error.square().sum() / (x_n - sae.b_dec).square().sum()
    torch.testing.assert_close(sae.fraction_unexplained(x_n, code), expected)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("b_enc", torch.zeros(F + 1), "b_enc"),
        ("W_dec", torch.zeros(D, F), "W_dec"),
        ("b_dec", torch.full((D,), torch.nan), "b_dec"),
        ("W_enc", torch.full((D, F), torch.inf), "W_enc"),
        ("k", F + 1, "k, the number"),
        ("k", 0, "k, the number"),
        ("normalization", "whitening", "whitening"),
    ],
)
def test_weights_that_cannot_be_are_refused_by_name(name: str, value: object, said: str) -> None:
    given = {
        "W_enc": torch.zeros(D, F),
        "b_enc": torch.zeros(F),
        "W_dec": torch.zeros(F, D),
        "b_dec": torch.zeros(D),
        "k": K,
        name: value,
    }
    with pytest.raises(ConfigurationError, match=said):
        TopKSAE(**given)  # type: ignore[arg-type]
