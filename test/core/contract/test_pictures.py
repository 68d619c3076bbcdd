"""Pictures as cameras send them: encodings, compression, sizes."""

from __future__ import annotations

import io
import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vla_sae_ros.core.contract.messages import read_image
from vla_sae_ros.core.contract.pictures import CompressedPicture, resized_with_pad
from vla_sae_ros.core.errors import ObservationError

GRADIENT = np.stack(np.meshgrid(np.arange(48), np.arange(64)), -1).astype(np.uint8) * 3
PICTURE = np.concatenate([GRADIENT, np.full((64, 48, 1), 9, np.uint8)], -1)  # (64, 48, 3) RGB


def encoded(form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, form, **options)
    return buffer.getvalue()


def message(pixels: np.ndarray, encoding: str) -> SimpleNamespace:
    return SimpleNamespace(
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=pixels.shape[1] * pixels.shape[2],
        data=pixels.tobytes(),
    )


def test_a_png_comes_back_bit_by_bit_and_a_jpeg_nearly():
    png = CompressedPicture(encoded("png"), "rgb8; png compressed bgr8", "/c").decoded()
    jpeg = CompressedPicture(encoded("jpeg", quality=95), "jpeg", "/c").decoded()
    assert np.array_equal(png, PICTURE)
    assert jpeg.shape == PICTURE.shape
    assert np.abs(jpeg.astype(int) - PICTURE).max() < 16


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", encoded("jpeg")[:200], encoded("bmp")])
def test_what_is_no_whole_jpeg_or_png_is_refused_with_its_topic(data):
    with pytest.raises(ObservationError, match="picture on /wrist"):
        CompressedPicture(data, "jpeg", "/wrist").decoded()


def empty_png(width: int, length: int = 13) -> bytes:
    """A PNG without pixels whose header, cut to `length` bytes, claims `width` x `width`."""
    size = struct.pack(">II", width, width) + bytes([8, 2, 0, 0, 0])
    chunks = (b"IHDR" + size[:length], b"IDAT")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each))
        for each in chunks
    )


@pytest.mark.parametrize("width, length", [(100_000, 13), (64, 8)])
def test_a_header_that_pillow_refuses_in_its_own_way_is_refused_with_its_topic(width, length):
    with pytest.raises(ObservationError, match="picture on /wrist"):
        CompressedPicture(empty_png(width, length), "png", "/wrist").decoded()


def test_the_sixteen_bits_of_a_depth_picture_are_refused_and_not_cut_off():
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 6), 1200, np.uint16)).save(buffer, "png")
    with pytest.raises(ObservationError, match=r"/depth.*16UC1.*8 bits per channel"):
        CompressedPicture(buffer.getvalue(), "16UC1; png compressed", "/depth").decoded()


@pytest.mark.parametrize(
    "encoding, order",
    [("rgb8", (0, 1, 2)), ("bgr8", (2, 1, 0)), ("rgba8", (0, 1, 2)), ("bgra8", (2, 1, 0))],
)
def test_every_order_of_channels_becomes_rgb_without_a_copy(encoding, order):
    pixels = PICTURE[:, :, list(order)]
    if encoding.endswith("a8"):
        pixels = np.concatenate([pixels, np.full((64, 48, 1), 255, np.uint8)], -1)
    sent = message(np.ascontiguousarray(pixels), encoding)
    read = read_image(sent, "/c")
    assert np.array_equal(read, PICTURE)
    assert np.shares_memory(read, np.frombuffer(sent.data, np.uint8))


def test_one_channel_stands_for_three():
    grey = PICTURE[:, :, :1]
    assert np.array_equal(read_image(message(grey, "mono8"), "/c"), np.repeat(grey, 3, 2))


def test_a_hd_picture_is_padded_as_openpi_pads_it():
    """1280 x 720 into 224 x 224: int(720 / (1280 / 224)) = 126 rows, int((224 - 126) / 2) = 49 rows
    of black above (openpi_client/image_tools.py)."""
    white = np.full((720, 1280, 3), 255, np.uint8)
    result = resized_with_pad(white, 224, 224)
    rows = np.flatnonzero(result.any((1, 2)))
    assert (rows[0], rows[-1]) == (49, 49 + 126 - 1)
    assert (result[49:175] == 255).all()


def test_a_picture_of_the_right_size_is_left_alone():
    assert resized_with_pad(PICTURE, 64, 48) is PICTURE


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    rows=st.integers(1, 60),
    columns=st.integers(1, 60),
)
def test_nothing_is_cut_off_and_the_proportions_stay(height, width, rows, columns):
    result = resized_with_pad(np.full((height, width, 3), 200, np.uint8), rows, columns)
    inside = result.any(2)
    inner = inside.any(1).sum(), inside.any(0).sum()
    ratio = max(height / rows, width / columns)
    assert result.shape == (rows, columns, 3)
    assert inner == (max(1, int(height / ratio)), max(1, int(width / ratio)))
    assert (result[inside] == 200).all()
