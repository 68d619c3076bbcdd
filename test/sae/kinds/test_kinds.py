"""Kinds in which any number of features may be active: formulas, lists, and nothing truncated."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae import BatchTopKSAE, JumpReLUSAE, ReLUSAE, SparseAutoencoder, TopKSAE
from vla_sae_ros.sae.kinds.normalization import NORMALIZATIONS
from vla_sae_ros.sae.kinds.sparse_autoencoder import LISTED_FEATURES

D, F, K = 12, 40, 5
KINDS = ("relu", "jumprelu", "batch_topk")


def make_sae(kind: str, normalization: str = "none", k: int | None = K) -> SparseAutoencoder:
    generator = torch.Generator().manual_seed(11)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    weights = (draw(D, F), draw(F), draw(F, D), draw(D))
    options = {
        "normalization": normalization,
        "pre_bias": draw(D) if normalization == "l2" else None,
        "k": k,
    }
    if kind == "relu":
        return ReLUSAE(*weights, **options)
    if kind == "jumprelu":
        return JumpReLUSAE(*weights, draw(F).abs(), **options)
    return BatchTopKSAE(*weights, 0.7, **options)


def reference(sae: SparseAutoencoder, x: np.ndarray) -> np.ndarray:
    """Code of one vector in float64, written from the definition of each kind."""
    w_enc, b_enc, b_dec = (
        getattr(sae, name).numpy().astype(np.float64) for name in ("W_enc", "b_enc", "b_dec")
    )
    hidden = (x.astype(np.float64) - b_dec) @ w_enc + b_enc
    floor = sae.threshold.numpy() if isinstance(sae, JumpReLUSAE) else 0.0
    return np.array([h if h > max(t, 0.0) else 0.0 for h, t in np.broadcast(hidden, floor)])


@pytest.mark.parametrize("kind", KINDS)
def test_codes_are_those_of_the_formulas(kind: str) -> None:
    sae = make_sae(kind)
    rows = np.random.default_rng(0).standard_normal((20, D)).astype(np.float32)
    expected = np.stack([reference(sae, row) for row in rows])
    assert (expected > 0).sum(1).max() > K
    np.testing.assert_allclose(sae.encode(torch.from_numpy(rows)).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_chosen_features_are_exact_though_the_list_is_too_short(kind: str) -> None:
    sae = make_sae(kind)
    x = torch.randn(3, 4, D, generator=torch.Generator().manual_seed(1))
    dense = sae.encode(x)
    code = sae.encode_normalized(sae.normalize(x)[0])
    assert code.index.shape == code.value.shape == (3, 4, K)
    assert torch.equal(code.of(torch.arange(F)), dense)
    assert torch.equal(code.value.sort(-1).values, dense.topk(K).values.sort(-1).values)
    assert torch.equal(code.at(torch.tensor([0])).of(torch.arange(F)), dense[:1])
    assert torch.equal(code.times_active(F), (dense > 0).sum((0, 1)))


@pytest.mark.parametrize("kind", KINDS)
def test_features_that_the_list_drops_are_counted(kind: str) -> None:
    sae = make_sae(kind)
    x = torch.randn(1, D, generator=torch.Generator().manual_seed(2))
    active = set(sae.encode(x)[0].nonzero().flatten().tolist())
    code = sae.encode_normalized(sae.normalize(x)[0])
    missing = active - set(code.index[0].tolist())
    assert len(active) > K and code.unlisted() == len(missing) == len(active) - K
    assert code.unlisted(torch.tensor([min(missing)])) == len(missing) - 1
    whole = make_sae(kind, k=F)
    assert whole.encode_normalized(x).unlisted() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_reconstruction_and_fvu_use_every_active_feature(kind: str) -> None:
    sae = make_sae(kind)
    x_n = torch.randn(6, D, generator=torch.Generator().manual_seed(3))
    code = sae.encode_normalized(x_n)
    whole = sae.encode(x_n) @ sae.W_dec + sae.b_dec
    torch.testing.assert_close(sae.decode_active(code), whole)
    torch.testing.assert_close(sae.reconstruct(x_n), whole)
    expected = (x_n - whole).square().sum() / (x_n - sae.b_dec).square().sum()
    torch.testing.assert_close(sae.fraction_unexplained(x_n, code), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_a_code_change_moves_the_reconstruction_by_the_scaled_difference(
    kind: str, normalization: str
) -> None:
    sae = make_sae(kind, normalization)
    x = torch.randn(7, D, generator=torch.Generator().manual_seed(4)) * 40 + 11
    _, scale, shift = sae.normalize(x)
    z = sae.encode(x)
    change = torch.zeros_like(z)
    change[:, 3], change[:, 17] = 2.5, -0.7
    moved = (sae.decode(z + change) * scale + shift) - sae.reconstruct(x)
    torch.testing.assert_close(change @ sae.W_dec * scale, moved, atol=2e-3, rtol=1e-4)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_a_sample_without_spread_gives_no_nan(normalization: str) -> None:
    sae = make_sae("relu", normalization)
    for x in (torch.zeros(2, D), sae.pre_bias.expand(2, D)):
        assert bool(torch.isfinite(sae.encode(x)).all())
        assert bool(torch.isfinite(sae.reconstruct(x)).all())


def test_lists_are_as_long_as_the_dictionary_allows() -> None:
    assert make_sae("relu", k=None).k == F
    wide = 2 * LISTED_FEATURES
    large = ReLUSAE(torch.ones(2, wide), torch.ones(wide), torch.ones(wide, 2), torch.ones(2))
    assert large.k == LISTED_FEATURES


def test_a_batch_topk_threshold_that_was_never_measured_is_refused() -> None:
    weights = (torch.ones(D, F), torch.ones(F), torch.ones(F, D), torch.ones(D))
    with pytest.raises(ConfigurationError, match="never measured"):
        BatchTopKSAE(*weights, -1.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"threshold": torch.zeros(F - 1)}, "threshold"),
        ({"threshold": torch.full((F,), torch.nan)}, "threshold"),
        ({"pre_bias": torch.ones(D)}, "pre_bias"),
        ({"pre_bias": torch.ones(D + 1), "normalization": "l2"}, "pre_bias"),
        ({"k": F + 1}, "k, the number"),
    ],
)
def test_what_cannot_be_is_refused_by_name(changes: dict[str, object], said: str) -> None:
    given = {
        "W_enc": torch.ones(D, F),
        "b_enc": torch.ones(F),
        "W_dec": torch.ones(F, D),
        "b_dec": torch.ones(D),
        "threshold": torch.zeros(F),
        **changes,
    }
    with pytest.raises(ConfigurationError, match=said):
        JumpReLUSAE(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_a_part_of_the_features_alone_has_their_codes(kind: str, normalization: str) -> None:
    sae = make_sae(kind, normalization)
    x = torch.randn(7, D, generator=torch.Generator().manual_seed(5)) * 3
    features = torch.tensor([3, 17, 3, 39])
    part = sae.of_features(features)
    assert part is not None and part.dictionary_size == 4
    torch.testing.assert_close(part.encode(x), sae.encode(x)[:, features])
    assert part.encode(x).any()


@pytest.mark.parametrize("kind", KINDS)
def test_folding_the_input_s_bias_into_the_encoder_changes_no_code(kind: str) -> None:
    sae = make_sae(kind)
    assert sae.apply_b_dec_to_input
    folded = sae.without_input_bias()
    assert not folded.apply_b_dec_to_input
    assert folded.without_input_bias() is folded
    x = torch.randn(50, D, generator=torch.Generator().manual_seed(6)) * 3
    torch.testing.assert_close(folded.encode(x), sae.encode(x), atol=1e-5, rtol=1e-5)
    assert not torch.equal(folded.b_enc, sae.b_enc)
    assert folded.W_enc.data_ptr() == sae.W_enc.data_ptr(), "a large dictionary is not copied"


def test_a_top_k_of_a_part_of_the_features_would_not_be_theirs() -> None:
    weights = make_sae("relu").stored_weights()
    sae = TopKSAE(**weights, k=K)
    assert sae.of_features(torch.tensor([1])) is None
    x = torch.randn(50, D, generator=torch.Generator().manual_seed(6)) * 3
    torch.testing.assert_close(sae.without_input_bias().encode(x), sae.encode(x))
