"""Adam and the clipping against torch's own."""

from __future__ import annotations

import pytest
import torch

from vla_sae_ros.sae.training.adam import Adam, clip_by_norm


def test_steps_are_those_of_torch() -> None:
    torch.manual_seed(0)
    ours = [torch.randn(4, 3), torch.randn(5)]
    theirs = [weight.clone().requires_grad_() for weight in ours]
    adam, reference = Adam(ours, eps=1e-9), torch.optim.Adam(theirs, lr=1.0, eps=1e-9)
    for step in range(20):
        rate = 0.1 / (1 + step)
        gradients = [torch.randn_like(weight) * 10**step for weight in ours]
        adam.step(gradients, rate)
        for weight, gradient in zip(theirs, gradients, strict=True):
            weight.grad = gradient
        reference.param_groups[0]["lr"] = rate
        reference.step()
    for weight, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(weight, expected.detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("largest", "clipped"), [(1.0, True), (1e3, False)])
def test_clipping_keeps_the_direction_and_bounds_the_joint_norm(
    largest: float, clipped: bool
) -> None:
    before = [torch.randn(7), torch.randn(2, 3)]
    after = [gradient.clone() for gradient in before]
    clip_by_norm(after, largest)
    joint = torch.cat([gradient.flatten() for gradient in after])
    whole = torch.cat([gradient.flatten() for gradient in before])
    assert float(joint.norm()) == pytest.approx(largest if clipped else float(whole.norm()))
    assert float(torch.cosine_similarity(joint, whole, dim=0)) == pytest.approx(1.0)
