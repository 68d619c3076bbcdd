"""Camera tokens and pixels: what is painted in a patch's box is what its token sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from vla_sae_ros.policy.families import adapter_for
from vla_sae_ros.policy.loading import LoadedPolicy
from vla_sae_ros.policy.patches import (
    CameraPatches,
    PixelBox,
    padded_all_round,
    padded_left_top,
    stretched,
)

INPUT = (64, 64)


def patches(picture: tuple[int, int], real: PixelBox) -> CameraPatches:
    return CameraPatches("camera", 0, 16, 4, 4, picture, INPUT, real)


@pytest.mark.parametrize("fit", [stretched, padded_left_top, padded_all_round])
@pytest.mark.parametrize("picture", [(64, 64), (48, 96), (200, 100), (37, 91)])
def test_the_boxes_of_all_patches_cover_the_picture_once(
    fit: Callable[..., PixelBox], picture: tuple[int, int]
) -> None:
    place = patches(picture, fit(picture, INPUT))
    seen = torch.zeros(picture, dtype=torch.int)
    for row in range(4):
        for column in range(4):
            box = place.pixel_box(row, column)
            if box is not None:
                seen[box.slices()] += 1
    assert bool((seen == 1).all())


def test_a_wide_picture_lies_at_the_bottom_or_in_the_middle() -> None:
    wide = (32, 64)
    assert padded_left_top(wide, INPUT) == PixelBox(32, 0, 64, 64)
    assert padded_all_round(wide, INPUT) == PixelBox(16, 0, 48, 64)
    assert patches(wide, padded_left_top(wide, INPUT)).pixel_box(1, 0) is None
    assert patches(wide, padded_left_top(wide, INPUT)).pixel_box(2, 0) == PixelBox(0, 0, 16, 16)
    assert patches(wide, padded_all_round(wide, INPUT)).pixel_box(1, 3) == PixelBox(0, 48, 16, 64)


@pytest.fixture
def blind_to_neighbours(loaded: LoadedPolicy) -> Iterator[LoadedPolicy]:
    """The tiny policy with a vision tower in which no patch hears of another."""
    tower = loaded.policy.model.vlm_with_expert.get_vlm_model().vision_model
    kept = {}
    for name, layer in tower.named_modules():
        if name.endswith(("out_proj", "fc2")) and isinstance(layer, nn.Linear):
            kept[layer] = [parameter.detach().clone() for parameter in layer.parameters()]
            for parameter in layer.parameters():
                parameter.data.zero_()
    yield loaded
    for layer, values in kept.items():
        for parameter, value in zip(layer.parameters(), values, strict=True):
            parameter.data.copy_(value)


def tokens_of(loaded: LoadedPolicy, frame: dict[str, object]) -> Tensor:
    """Return what enters the first backbone layer (T, d)."""
    entered: list[Tensor] = []
    layer = loaded.policy.model.vlm_with_expert.get_vlm_model().text_model.layers[0]
    watch = layer.input_layernorm.register_forward_pre_hook(
        lambda _module, args: entered.append(args[0][0].clone())
    )
    batch = loaded.preprocessor(dict(frame))
    with torch.inference_mode():
        loaded.policy.predict_action_chunk(batch, noise=torch.zeros(1, 6, 7))
    watch.remove()
    return entered[0]


@pytest.mark.parametrize("picture", [(256, 256), (120, 256), (256, 130)])
def test_what_is_painted_in_a_box_is_seen_by_its_token_alone(
    blind_to_neighbours: LoadedPolicy, picture: tuple[int, int]
) -> None:
    loaded = blind_to_neighbours
    adapter = adapter_for("smolvla", loaded.policy)
    keys = list(loaded.policy.config.image_features)
    frame = {key: torch.zeros(3, *picture) for key in keys}
    frame |= {"observation.state": torch.zeros(8), "task": "pick up the butter"}
    black = tokens_of(loaded, frame)
    places = adapter.camera_patches("backbone.1", loaded.preprocessor(dict(frame)))
    assert [place.camera for place in places] == keys
    for place in places:
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
            box = place.pixel_box(row, column)
            if box is None:
                continue
            painted = frame[place.camera].clone()
            rows, columns = box.slices()
            inside = (slice(rows.start + 5, rows.stop - 5),
                      slice(columns.start + 5, columns.stop - 5))  # scaling blurs the edges
            painted[:, inside[0], inside[1]] = 1.0
            changed = (tokens_of(loaded, {**frame, place.camera: painted}) != black).any(-1)
            expected = place.start + row * place.columns + column
            assert changed.nonzero().flatten().tolist() == [expected]


def test_no_camera_passes_an_expert_site(loaded: LoadedPolicy) -> None:
    assert adapter_for("smolvla", loaded.policy).camera_patches("expert.0", {}) == ()
