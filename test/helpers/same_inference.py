"""Comparing what two engines computed from one observation."""

from __future__ import annotations

import numpy as np
import pytest

from vla_sae_ros.core.readout import SiteReadout
from vla_sae_ros.policy.inference import Inference


def assert_same_inference(got: Inference, wanted: Inference) -> None:
    """Compare the actions, and everything that is read at every site."""
    np.testing.assert_allclose(got.actions, wanted.actions, atol=1e-4)
    for ours, theirs in zip(got.sites, wanted.sites, strict=True):
        assert_alike(ours, theirs)


def assert_alike(got: SiteReadout, wanted: SiteReadout) -> None:
    """Compare everything that is read; a code is compared wherever either of them shows one."""
    assert got.site == wanted.site
    assert got.index.tolist() == wanted.index.tolist()
    np.testing.assert_allclose(got.natural, wanted.natural, atol=1e-4)
    np.testing.assert_allclose(got.applied, wanted.applied, atol=1e-4)
    assert got.fvu == pytest.approx(wanted.fvu, rel=1e-4)
    assert got.residual_norm == pytest.approx(wanted.residual_norm, rel=1e-4)
    assert got.edit_norm_ratio == pytest.approx(wanted.edit_norm_ratio, abs=1e-4)
    assert (got.capped, got.unlisted) == (wanted.capped, wanted.unlisted)
