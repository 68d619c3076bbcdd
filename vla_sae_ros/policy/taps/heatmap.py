"""Where in the pictures a feature fires: one number per image patch, drawn over the pictures.

For a per-token SAE the number is z, the feature's activation on the patch's token: exactly what the
policy's tap reads. For a pooled SAE there is no z of a token, so the number is an attribution: the
encoder's pre-activation of the feature for that token taken alone,

    h_t = (x_n,t - b_in) . W_enc[:, feature] + b_enc[feature],

x_n,t normalised by its own numbers as the bundle says. It shows which tokens point along the
feature. It is no share of the pooled z: normalisation and the choice of the active features act on
the mean. What is below 0 is drawn as 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont

from vla_sae_ros.core.side_by_side import Picture, side_by_side
from vla_sae_ros.policy.families.patches import CameraPatches
from vla_sae_ros.policy.taps.colour_map import colours, table
from vla_sae_ros.policy.taps.reading import Reading
from vla_sae_ros.policy.taps.shapes import TokenValues

Grid = npt.NDArray[np.float32]
"""(rows, columns) of patches."""

DIMMED = 0.65  # brightness of the picture under the colours
STRONGEST = 0.8  # opacity of the hottest patch
SMALLEST_SCALE = 96  # [px] height of a picture in whose corner a scale can be read


def draw_heatmap(
    reading: Reading,
    feature: int,
    patches: Sequence[CameraPatches],
    pictures: Mapping[str, Picture],
    height: int | None = None,
) -> Picture:
    """Return the cameras' pictures side by side, in token order, with the feature over them.

    All share one scale, from 0 to the hottest patch of all of them, which is written in the corner.

    Args:
        reading: of a site that image tokens pass.
        feature: whose activation is drawn.
        patches: where each camera's tokens look.
        pictures: by camera, as the policy was given them.
        height: [px] to shrink or enlarge the pictures to before anything is drawn; None: as given.
    """
    if height is not None:
        pictures, patches = _of_height(height, pictures, patches)
    grids = patch_grids(token_values(reading, feature), patches)
    top = max(max(float(grid.max()) for grid in grids), 0.0)
    drawn = [
        overlay(pictures[place.camera], grid / top if top > 0.0 else np.zeros_like(grid), place)
        for grid, place in zip(grids, patches, strict=True)
    ]
    together = side_by_side(drawn)
    return with_scale(together, top) if together.shape[0] >= SMALLEST_SCALE else together


def _of_height(
    height: int, pictures: Mapping[str, Picture], patches: Sequence[CameraPatches]
) -> tuple[dict[str, Picture], list[CameraPatches]]:
    resized, placed = {}, []
    for place in patches:
        width = max(1, round(height * place.picture[1] / place.picture[0]))
        image = Image.fromarray(pictures[place.camera]).resize((width, height))
        resized[place.camera] = np.asarray(image)
        placed.append(replace(place, picture=(height, width)))
    return resized, placed


def token_values(reading: Reading, feature: int) -> TokenValues:
    """Return the number of each token (T,) float32, see above; 0 for tokens that are not real.

    All are 0 where the site did not run: nothing fired.
    """
    real = reading.tokens.mask(reading.token_groups)[0]
    if reading.last is None:
        return torch.zeros_like(real, dtype=torch.float32)
    normalised = reading.sae.normalize(reading.last.stream[0])[0]
    if reading.pooled:
        values = reading.sae.pre_activation(normalised, feature)
    else:
        chosen = torch.tensor([feature], device=normalised.device)
        values = reading.sae.encode_normalized(normalised).of(chosen)[:, 0]
    return values * real


def patch_grids(values: TokenValues, patches: Sequence[CameraPatches]) -> list[Grid]:
    """Return each camera's (rows, columns) of the tokens' values (T,)."""
    on_host = values.cpu().numpy()
    return [
        on_host[place.start : place.stop].reshape(place.rows, place.columns) for place in patches
    ]


def overlay(picture: Picture, heat: Grid, place: CameraPatches) -> Picture:
    """Return the picture with each patch tinted by its heat, 0 to 1; padding is left out."""
    drawn = picture.astype(np.float32) * DIMMED
    tints = colours(heat).astype(np.float32)
    for row, column in np.ndindex(heat.shape):
        box = place.pixel_box(row, column)
        if box is not None:
            opacity = STRONGEST * min(max(float(heat[row, column]), 0.0), 1.0)
            seen = drawn[box.slices()]
            seen += opacity * (tints[row, column] - seen)
    return np.round(drawn).astype(np.uint8)


def with_scale(picture: Picture, top: float) -> Picture:
    """Return the picture with a bar of the colours from 0 to `top` in its lower left corner."""
    drawn = Image.fromarray(picture)
    size = max(10, picture.shape[0] // 20)
    font = ImageFont.load_default(size)
    pen = ImageDraw.Draw(drawn)
    left, base, width = size // 2, picture.shape[0] - size // 2, 6 * size
    bar = Image.fromarray(table()[None]).resize((width, size // 2))
    text = f"0 to {top:.3g}"
    words = pen.textbbox((left, base - size), text, font=font, anchor="ls")
    right = max(left + width, int(words[2])) + left
    pen.rectangle((0, words[1] - size // 2, right, base + size), "black")
    drawn.paste(bar, (left, base - size // 2))
    pen.text((left, base - size), text, "white", font, anchor="ls")
    return np.asarray(drawn)
