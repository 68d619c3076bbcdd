"""A probe with a buffer of its own, run eagerly, against the probe that keeps the stream itself."""

from __future__ import annotations

import pytest
import torch

from vla_sae_ros.core.errors import ObservationError
from vla_sae_ros.policy.compiled.static_probe import StaticProbe
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.policy.taps.probe import Probe
from vla_sae_ros.policy.taps.tokens import Tokens

WIDTH, RUNS, TOKENS = 16, 3, 6
SITE = Site("expert.1", WIDTH, ("state", "action"), RUNS)


def tokens(count: int = TOKENS) -> Tokens:
    """The last token is padding."""
    place = torch.arange(count)[None]
    masks = {"state": place < 1, "action": (place > 0) & (place < count - 1)}
    return Tokens(lambda: masks)


def read(kind: type[Probe], pooled: bool, inferences: int) -> list[tuple[torch.Tensor, float]]:
    """Return what is handed over of inferences of random streams, always the same."""
    handed: list[tuple[torch.Tensor, float]] = []
    probe = kind(SITE, pooled, SITE.token_groups, lambda x, norm: handed.append((x, norm)))
    generator = torch.Generator().manual_seed(4)
    for _ in range(inferences):
        probe.begin(tokens())
        for _ in range(RUNS):
            probe(torch.randn(1, TOKENS, WIDTH, generator=generator))
        probe.end()
    return handed


@pytest.mark.parametrize("pooled", [True, False])
def test_it_hands_over_the_last_run_of_each_inference_and_keeps_nothing_of_it(
    pooled: bool,
) -> None:
    wanted, found = read(Probe, pooled, 2), read(StaticProbe, pooled, 2)
    assert len(found) == len(wanted) == 2
    for (x, norm), (other, other_norm) in zip(found, wanted, strict=True):
        assert torch.equal(x, other) and norm == other_norm


def test_another_number_of_tokens_than_the_graph_has_is_refused() -> None:
    probe = StaticProbe(SITE, True, SITE.token_groups, lambda _x, _norm: None)
    probe.begin(tokens())
    with pytest.raises(ObservationError, match=r"expert\.1.*as when it was compiled"):
        probe.begin(tokens(TOKENS + 1))
