from __future__ import annotations

import numpy as np
import pytest
import torch

from vla_sae_ros.policy.onnx.noise import standard_normal


@pytest.mark.parametrize("state", [0, 1, 12345678901234, 2**62 + 5])
@pytest.mark.parametrize("shape", [(16,), (1, 10, 7), (1, 50, 32), (17,)])
def test_noise_is_that_of_pytorch_for_the_same_state(state: int, shape: tuple[int, ...]) -> None:
    wanted = torch.randn(shape, generator=torch.Generator().manual_seed(state))
    np.testing.assert_allclose(standard_normal(state, shape), wanted.numpy(), atol=3e-6)


def test_too_few_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="16"):
        standard_normal(0, (15,))
