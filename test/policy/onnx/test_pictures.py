from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from lerobot.policies.common.vla_utils import resize_with_pad, resize_with_pad_torch

from vla_sae_ros.policy.onnx.names import ALL_ROUND, LEFT_ABOVE
from vla_sae_ros.policy.onnx.pictures import fitted

SIZES = [
    ((256, 256), (128, 128)),
    ((480, 640), (512, 512)),
    ((200, 333), (224, 224)),
    ((64, 64), (128, 96)),
    ((720, 1280), (512, 512)),
    ((128, 128), (128, 128)),
]


def _smolvla_s(pictures: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return resize_with_pad(pictures, *size, pad_value=0)


def _pi0_s(pictures: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return resize_with_pad_torch(pictures.permute(0, 2, 3, 1), *size).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("given", "wanted"), SIZES)
@pytest.mark.parametrize(("fit", "theirs"), [(LEFT_ABOVE, _smolvla_s), (ALL_ROUND, _pi0_s)])
def test_pictures_are_fitted_as_lerobot_does(
    given: tuple[int, int],
    wanted: tuple[int, int],
    fit: str,
    theirs: Callable[[torch.Tensor, tuple[int, int]], torch.Tensor],
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*given, 3), dtype=np.uint8)
    scaled = torch.from_numpy(picture).permute(2, 0, 1)[None].to(torch.float32) / 255
    expected = theirs(scaled, wanted) * 2 - 1
    np.testing.assert_allclose(fitted(picture, wanted, fit), expected.numpy(), atol=5e-5)
