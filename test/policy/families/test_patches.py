"""Camera tokens and pixels: what is painted in a patch's box is what its token sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from tiny_families import TinyFamily, a_batch
from torch import Tensor, nn

from vla_sae_ros.policy.families.patches import (
    CameraPatches,
    PixelBox,
    padded_all_round,
    padded_left_top,
    stretched,
)
from vla_sae_ros.policy.tiny.tiny_smolvla import CAMERA_KEYS

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


@contextmanager
def blind_to_neighbours(it: TinyFamily) -> Iterator[None]:
    """Let no patch hear of another in the policy's vision tower."""
    kept = {}
    for name, layer in it.vision.named_modules():
        if name.endswith(("out_proj", "fc2")) and isinstance(layer, nn.Linear):
            kept[layer] = [parameter.detach().clone() for parameter in layer.parameters()]
            for parameter in layer.parameters():
                parameter.data.zero_()
    try:
        yield
    finally:
        for layer, values in kept.items():
            for parameter, value in zip(layer.parameters(), values, strict=True):
                parameter.data.copy_(value)


def tokens_of(it: TinyFamily, batch: dict[str, Tensor]) -> Tensor:
    """Return what enters the first backbone layer (T, d)."""
    entered: list[Tensor] = []
    watch = it.entrance.register_forward_pre_hook(
        lambda _module, args: entered.append(args[0][0].clone())
    )
    it.predict(batch)
    watch.remove()
    return entered[0]


@pytest.mark.parametrize("family", ["smolvla", "pi0", "pi05", "pi0_fast"])
@pytest.mark.parametrize("picture", [(256, 256), (120, 256), (256, 130)])
def test_what_is_painted_in_a_box_is_seen_by_its_token_alone(
    tiny: Callable[[str], TinyFamily], family: str, picture: tuple[int, int]
) -> None:
    it = tiny(family)
    keys = list(it.policy.config.image_features)
    batch = a_batch() | {key: torch.zeros(1, 3, *picture) for key in keys}
    places = it.adapter.camera_patches("backbone.1", batch)
    assert [place.camera for place in places] == keys
    painted_boxes = 0
    with blind_to_neighbours(it):
        black = tokens_of(it, batch)
        for place in places:
            for row in range(place.rows):
                box = place.pixel_box(row, column := row % 2)
                if box is None or min(box.bottom - box.top, box.right - box.left) < 20:
                    continue
                painted = batch[place.camera].clone()
                rows, columns = box.slices()
                inside = (
                    slice(rows.start + 9, rows.stop - 9),
                    slice(columns.start + 9, columns.stop - 9),
                )  # scaling blurs the edges
                painted[:, :, inside[0], inside[1]] = 1.0
                now = tokens_of(it, {**batch, place.camera: painted})
                expected = place.start + row * place.columns + column
                assert (now != black).any(-1).nonzero().flatten().tolist() == [expected]
                painted_boxes += 1
    assert painted_boxes >= 2


@pytest.mark.parametrize("family", ["smolvla", "pi0", "pi05"])
def test_no_camera_passes_an_expert_site(tiny: Callable[[str], TinyFamily], family: str) -> None:
    assert tiny(family).adapter.camera_patches("expert.0", a_batch()) == ()


def test_a_camera_that_smolvla_masks_has_no_real_tokens(
    tiny: Callable[[str], TinyFamily],
) -> None:
    it = tiny("smolvla")
    first, second = it.adapter.camera_patches("backbone.0", it.batch)[:2]
    masked = it.batch | {f"{first.camera}_padding_mask": torch.zeros(1, dtype=torch.bool)}
    plain, camera = (it.adapter.token_masks("backbone.0", b)["camera"] for b in (it.batch, masked))
    assert plain[0, first.start : first.stop].all()
    assert not camera[0, first.start : first.stop].any()
    assert torch.equal(camera[0, first.stop :], plain[0, first.stop :])
    assert camera[0, second.start : second.stop].all()


def test_x_vla_s_patches_follow_a_summary_of_their_camera(
    tiny: Callable[[str], TinyFamily],
) -> None:
    """Its vision tower folds overlapping pixels: a dot in a patch's middle is its token's most.

    The first camera passes the encoder, the others join it at the expert.
    """
    it = tiny("xvla")
    sides = it.policy.config.resize_imgs_with_padding
    it.policy.config.resize_imgs_with_padding = (128, 128)
    kept = [parameter.detach().clone() for parameter in it.vision.blocks.parameters()]
    for parameter in it.vision.blocks.parameters():
        parameter.data.zero_()  # no patch hears of another
    batch = a_batch() | {key: torch.zeros(1, 3, 256, 256) for key in CAMERA_KEYS}
    try:
        for site, number in (("backbone.0", 0), ("expert.0", 1)):
            place = it.adapter.camera_patches(site, batch)[number]
            assert place.camera == CAMERA_KEYS[number]
            for row, column in ((0, 1), (1, 0), (2, 3), (3, 3)):
                box = place.pixel_box(row, column)
                painted = batch[place.camera].clone()
                y, x = (box.top + box.bottom) / 2, (box.left + box.right) / 2
                painted[:, :, round(y) - 4 : round(y) + 4, round(x) - 4 : round(x) + 4] = 1.0
                seen = [entering(it, site, b) for b in (batch, {**batch, place.camera: painted})]
                change = (seen[0] - seen[1]).norm(dim=-1)
                patches = slice(place.start, place.stop)
                assert int(change[patches].argmax()) == row * place.columns + column
                assert float(change[place.start - 1]) > 0.0, "the summary sees every pixel"
                change[place.start - 1 : place.stop] = 0.0
                assert not change.any(), "no other token sees it"
    finally:
        it.policy.config.resize_imgs_with_padding = sides
        for parameter, value in zip(it.vision.blocks.parameters(), kept, strict=True):
            parameter.data.copy_(value)


def entering(it: TinyFamily, site: str, batch: dict[str, Tensor]) -> Tensor:
    """Return what enters the first layer of a site's stack (T, d) in its first run."""
    if site.startswith("backbone"):
        return tokens_of(it, batch)
    entered: list[Tensor] = []
    watch = it.layer(site).norm1.register_forward_pre_hook(
        lambda _module, args: entered.append(args[0][0].clone())
    )
    it.predict(batch)
    watch.remove()
    return entered[0]
