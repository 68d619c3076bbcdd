"""Folding a data set's numbers into the weights changes no code, whatever those numbers are."""

from __future__ import annotations

import torch

from vla_sae_ros.sae import ReLUSAE
from vla_sae_ros.sae.kinds.folding import fold_standardisation

WIDTH, SIZE = 12, 40


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"W_enc": (WIDTH, SIZE), "b_enc": (SIZE,), "W_dec": (SIZE, WIDTH), "b_dec": (WIDTH,)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def test_a_dimension_without_spread_costs_the_others_no_digits() -> None:
    x = 2.0 * torch.randn(64, WIDTH) + 0.5
    x[:, 5] = 3.0
    mean, deviation = x.mean(0), x.std(0) + 1e-8
    plain, folded = weights(), weights()
    fold_standardisation(folded, mean, deviation)
    wide = {name: one.double() for name, one in plain.items()}
    standard = (x.double() - mean.double()) / deviation.double()
    code = (standard @ wide["W_enc"] + wide["b_enc"]).relu()
    decoded = (code @ wide["W_dec"] + wide["b_dec"]) * deviation.double() + mean.double()
    sae = ReLUSAE(**folded)
    for one in (sae, sae.without_input_bias()):
        torch.testing.assert_close(one.encode(x).double(), code, atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(one.reconstruct(x).double(), decoded, atol=1e-4, rtol=1e-5)


def test_weights_that_are_views_of_one_vector_are_saved_apart(tmp_path) -> None:
    whole = weights()
    flat = torch.cat([whole["b_enc"], whole["b_dec"]])
    sae = ReLUSAE(**(whole | {"b_enc": flat[:SIZE], "b_dec": flat[SIZE:]}))
    sae.save(tmp_path)
    stored = sae.stored_weights()
    assert len({one.untyped_storage().data_ptr() for one in stored.values()}) == len(stored)
