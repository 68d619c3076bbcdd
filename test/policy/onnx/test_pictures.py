from __future__ import annotations

import numpy as np
import pytest
import torch
from lerobot.policies.common.vla_utils import resize_with_pad

from vla_sae_ros.policy.onnx.pictures import fitted

SIZES = [
    ((256, 256), (128, 128)),
    ((480, 640), (512, 512)),
    ((200, 333), (224, 224)),
    ((64, 64), (128, 96)),
    ((720, 1280), (512, 512)),
    ((128, 128), (128, 128)),
]


@pytest.mark.parametrize(("given", "wanted"), SIZES)
def test_pictures_are_fitted_as_lerobot_does(
    given: tuple[int, int], wanted: tuple[int, int]
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*given, 3), dtype=np.uint8)
    scaled = torch.from_numpy(picture).permute(2, 0, 1)[None].to(torch.float32) / 255
    expected = resize_with_pad(scaled, *wanted, pad_value=0) * 2 - 1
    np.testing.assert_allclose(fitted(picture, wanted), expected.numpy(), atol=5e-5)
