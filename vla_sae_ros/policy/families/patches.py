"""Camera tokens and the pixels they stand for: each family's grid, padding and camera order."""

from __future__ import annotations

from dataclasses import dataclass

Size = tuple[int, int]
"""(height, width) [px]."""


@dataclass(frozen=True)
class PixelBox:
    """Pixels [top, bottom) x [left, right) of a picture; sides may lie between pixels."""

    top: float
    left: float
    bottom: float
    right: float

    def slices(self) -> tuple[slice, slice]:
        """Return (rows, columns) that cut the box, sides rounded, out of an (H, W, ...) array."""
        return (
            slice(round(self.top), round(self.bottom)),
            slice(round(self.left), round(self.right)),
        )


# Where the whole picture lies in the model's input picture of the wanted size:


def stretched(_picture: Size, wanted: Size) -> PixelBox:
    """The picture fills the input; its sides are scaled each by its own factor."""
    return PixelBox(0.0, 0.0, float(wanted[0]), float(wanted[1]))


def padded_left_top(picture: Size, wanted: Size) -> PixelBox:
    """lerobot's `resize_with_pad`: scaled without distortion, black on the left and above."""
    height, width = _scaled_to_fit(picture, wanted)
    return PixelBox(
        float(wanted[0] - height), float(wanted[1] - width), float(wanted[0]), float(wanted[1])
    )


def padded_all_round(picture: Size, wanted: Size) -> PixelBox:
    """lerobot's `resize_with_pad_torch`: scaled without distortion, in the middle of black."""
    height, width = _scaled_to_fit(picture, wanted)
    top, left = (wanted[0] - height) // 2, (wanted[1] - width) // 2
    return PixelBox(float(top), float(left), float(top + height), float(left + width))


def _scaled_to_fit(picture: Size, wanted: Size) -> Size:
    ratio = max(picture[1] / wanted[1], picture[0] / wanted[0])
    return int(picture[0] / ratio), int(picture[1] / ratio)


@dataclass(frozen=True)
class CameraPatches:
    """The tokens of one camera at a site, and where each looks in the picture.

    Token start + r * columns + c is patch (r, c), counted from the picture's top left corner.

    Attributes:
        camera: policy feature, e.g. "observation.images.wrist".
        start, stop: the camera's tokens in the site's stream, stop excluded.
        rows, columns: the grid of patches; rows * columns = stop - start.
        picture: size of the picture that the policy was given.
        model_input: size of the picture that the vision tower gets.
        real: where the whole picture lies in that; the rest is padding.
    """

    camera: str
    start: int
    stop: int
    rows: int
    columns: int
    picture: Size
    model_input: Size
    real: PixelBox

    def pixel_box(self, row: int, column: int) -> PixelBox | None:
        """Return what patch (row, column) sees of the picture that the policy was given.

        None where the patch sees nothing but padding. The boxes of all patches meet without a gap.
        """
        tall, wide = self.model_input[0] / self.rows, self.model_input[1] / self.columns
        top, bottom = self._down(row * tall), self._down((row + 1) * tall)
        left, right = self._across(column * wide), self._across((column + 1) * wide)
        if top >= bottom or left >= right:
            return None
        return PixelBox(top, left, bottom, right)

    def _down(self, y: float) -> float:
        return _back(y, self.real.top, self.real.bottom, self.picture[0])

    def _across(self, x: float) -> float:
        return _back(x, self.real.left, self.real.right, self.picture[1])


def _back(position: float, start: float, stop: float, length: int) -> float:
    """Map a coordinate of the model's input to the picture, and onto its edge from outside."""
    return min(max((position - start) * length / (stop - start), 0.0), float(length))
