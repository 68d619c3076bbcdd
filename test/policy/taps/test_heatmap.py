"""The heatmap is hot where the picture says so."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from vla_sae_ros.core.catalogue import Catalogue
from vla_sae_ros.core.side_by_side import side_by_side
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.families.patches import CameraPatches, padded_left_top
from vla_sae_ros.policy.taps.colour_map import colours, table, to_oklab
from vla_sae_ros.policy.taps.heatmap import overlay, with_scale
from vla_sae_ros.sae import SaeBundle, TopKSAE
from vla_sae_ros.sae.bundle import BundleCard

SITE = "backbone.0"
TEXT = "pick up the butter"
CAMERAS = ("observation.images.agentview", "observation.images.wrist")


def frame_of(size: tuple[int, int], painted: tuple[slice, slice], camera: str) -> dict:
    """Black pictures, in one of which a part is white."""
    frame = {name: np.zeros((*size, 3), np.uint8) for name in CAMERAS}
    frame[camera][painted] = 255
    return {**frame, "observation.state": np.zeros(8, np.float32)}


def stream_of(loaded: LoadedPolicy, frame: dict) -> torch.Tensor:
    engine = PolicyEngine(loaded)
    read: list[torch.Tensor] = []
    handle = engine.adapter.attach(SITE, lambda x: read.append(x[0].clone()))
    engine.infer(frame, TEXT, (0, 0))
    handle.remove()
    return read[0]


def planted(
    loaded: LoadedPolicy, stream: torch.Tensor, black: torch.Tensor, token: int, pooling: str
) -> SaeBundle:
    """An SAE whose feature 1 answers to what this token became, and to no other token."""
    direction = (stream - black)[token]
    along = stream @ direction
    others = torch.cat([along[:token], along[token + 1 :]]).max()
    assert along[token] > others, "the premise: this token moved the most along its own change"
    width = len(direction)
    encoder = torch.zeros(width, 2)
    encoder[:, 1] = direction
    bias = torch.tensor([0.0, -float(along[token] + others) / 2])
    decoder = torch.nn.functional.normalize(encoder.T + 1e-3, dim=-1)
    sae = TopKSAE(encoder, bias, decoder, torch.zeros(width), 2)
    card = BundleCard(
        loaded.policy_id,
        loaded.name,
        SITE,
        width,
        2,
        2,
        pooling,
        ("camera", "language", "state"),
        "none",
        3.0,
        1.0,
    )
    return SaeBundle(sae, card, Catalogue(SITE, []))


@pytest.fixture
def engines() -> Iterator[list[PolicyEngine]]:
    made: list[PolicyEngine] = []
    yield made
    for engine in made:
        engine.close()


@pytest.mark.parametrize("pooling", ["mean", "token"])
@pytest.mark.parametrize(
    ("size", "top", "left"),
    # The policy sees 64 x 64 pixels as 2 x 2 patches. A picture that is not square lies at the
    # bottom or on the right of them, in patches that see its whole height or width.
    [((256, 256), 128, 128), ((128, 256), 0, 128), ((240, 120), 120, 0)],
)
def test_the_hot_pixels_are_where_the_patch_is(
    loaded: LoadedPolicy,
    engines: list[PolicyEngine],
    size: tuple[int, int],
    top: int,
    left: int,
    pooling: str,
) -> None:
    camera = CAMERAS[1]
    height, width = size
    painted = (slice(3 * height // 4, height), slice(3 * width // 4, width))  # lower right corner
    frame = frame_of(size, painted, camera)
    nothing = (slice(0, 0), slice(0, 0))
    stream, black = stream_of(loaded, frame), stream_of(loaded, frame_of(size, nothing, camera))
    token = int((stream - black).norm(dim=-1).argmax())
    engine = PolicyEngine(loaded, [planted(loaded, stream, black, token, pooling)])
    engines.append(engine)
    draw = engine.infer(frame, TEXT, (0, 0)).draw
    assert draw is not None
    picture = draw(SITE, 1)
    assert picture.shape == (height, 2 * width, 3)
    colourful = np.ptp(picture.astype(int), axis=-1) > 30  # black, grey and white are not
    colourful[-height // 3 :, :width] = False  # the scale
    expected = np.zeros((height, 2 * width), bool)
    expected[top:, width + left :] = True
    assert (colourful == expected).all()


def test_a_tinted_patch_covers_its_box_and_no_pixel_more() -> None:
    picture = np.full((32, 64, 3), 200, np.uint8)
    place = CameraPatches("c", 0, 16, 4, 4, (32, 64), (64, 64), padded_left_top((32, 64), (64, 64)))
    cold = overlay(picture, np.zeros((4, 4), np.float32), place)
    heat = np.zeros((4, 4), np.float32)
    heat[2, 1] = 1.0  # the first row of the picture: the two rows above are padding
    changed = (overlay(picture, heat, place) != cold).any(-1)
    expected = np.zeros((32, 64), bool)
    expected[:16, 16:32] = True
    assert (changed == expected).all()
    heat[:] = 0.0
    heat[0] = 1.0
    assert (overlay(picture, heat, place) == cold).all()


def test_cameras_of_different_sizes_stand_side_by_side_in_order() -> None:
    small, large = np.full((2, 3, 3), 1, np.uint8), np.full((4, 5, 3), 2, np.uint8)
    row = side_by_side([small, large])
    assert row.shape == (4, 8, 3)
    assert (row[:2, :3] == 1).all() and (row[2:, :3] == 0).all() and (row[:, 3:] == 2).all()


def test_the_scale_stands_in_the_lower_left_corner_only() -> None:
    picture = np.full((256, 512, 3), 90, np.uint8)
    changed = np.nonzero((with_scale(picture, 3.25) != picture).any(-1))
    assert changed[0].min() > 180
    assert changed[1].max() < 160


def test_equal_steps_look_equal_and_get_lighter() -> None:
    lab = to_oklab(table())
    steps = np.linalg.norm(np.diff(lab, axis=0), axis=1)
    smooth = np.convolve(steps, np.ones(16) / 16, "valid")  # 8 bits make single steps uneven
    assert smooth.max() / smooth.min() < 1.1
    assert (np.diff(lab[::4, 0]) > 0).all()
    white = to_oklab([255, 255, 255])
    np.testing.assert_allclose(white, [1.0, 0.0, 0.0], atol=1e-3)
    assert colours([-1.0, 2.0]).tolist() == table()[[0, -1]].tolist()


def test_what_cannot_be_drawn_is_refused_with_what_to_do(
    loaded: LoadedPolicy, make_bundle: object, engines: list[PolicyEngine]
) -> None:
    bundles = [make_bundle(loaded, site) for site in ("backbone.0", "expert.0")]  # type: ignore[operator]
    engine = PolicyEngine(loaded, bundles)
    engines.append(engine)
    assert engine.why_no_heatmap("backbone.0", 3) == ""
    assert "backbone site" in engine.why_no_heatmap("expert.0", 3)
    assert "backbone.0" in engine.why_no_heatmap("nowhere", 3)
    assert "unknown feature" in engine.why_no_heatmap("backbone.0", 10_000)
    assert "unknown feature" in engine.why_no_heatmap("backbone.0", -1)
