from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dsp_batch.core.encoding import encode_image, resize_image
from dsp_batch.core.windowing import display_values
from dsp_batch.errors import OptionsError
from dsp_batch.model.frame import GrayscaleTransform, StoredFrame
from dsp_batch.model.series import ByteArray
from dsp_batch.model.window import Window

DATA = Path(os.environ.get("DSP_DATA", Path(__file__).parents[3] / "shared" / "data"))
SUFFIXES = [".webp", ".jpg", ".jpeg"]


def make_picture(rows: int = 96, columns: int = 128) -> ByteArray:
    """A smooth gray picture with some fine structure: bands that grow finer to the right."""
    down, across = np.mgrid[:rows, :columns]
    return (127 + 80 * np.sin(across**2 / 1500) + 40 * np.cos(down / 9)).astype(np.uint8)


def decode(data: bytes) -> tuple[ByteArray, Image.Image]:
    image = Image.open(BytesIO(data))
    return np.asarray(image), image


def decibels(a: ByteArray, b: ByteArray) -> float:
    """Peak signal-to-noise ratio."""
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b.astype(float)) ** 2)))


@pytest.mark.parametrize("channels", [(), (3,)])
def test_reduction_by_whole_numbers_averages_boxes(channels: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (60, 80, *channels)).astype(np.uint8)
    boxes = pixels.reshape(20, 3, 20, 4, *channels).mean(axis=(1, 3))

    resized = resize_image(pixels, (20, 20))

    assert np.abs(resized - boxes).max() <= 0.5


@given(rows=st.integers(1, 40), columns=st.integers(1, 40), height=st.integers(1, 50), width=st.integers(1, 50))
def test_the_shape_is_what_was_asked_for(rows: int, columns: int, height: int, width: int) -> None:
    pixels = np.arange(rows * columns * 3, dtype=np.uint8).reshape(rows, columns, 3)

    assert resize_image(pixels, (height, width)).shape == (height, width, 3)
    assert resize_image(pixels[..., 0], (height, width)).shape == (height, width)


@given(gray=st.integers(0, 255), shape=st.tuples(st.integers(1, 200), st.integers(1, 200)))
def test_an_even_image_stays_even(gray: int, shape: tuple[int, int]) -> None:
    resized = resize_image(np.full((37, 129), gray, np.uint8), shape).astype(int)

    assert np.abs(resized - gray).max() <= 1  # Pillow's averages of large boxes may fall short by one


@pytest.mark.parametrize("shape", [(75, 75), (128, 128), (41, 300), (600, 450)])
def test_a_picture_is_not_shifted_by_scaling(shape: tuple[int, int]) -> None:
    """The center of mass of a spot keeps its position, as a fraction of the image."""
    rows, columns = 301, 303
    down, across = np.mgrid[:rows, :columns]
    spot = (255 * np.exp(-((down - 90) ** 2 + (across - 200) ** 2) / 900)).astype(np.uint8)

    resized = resize_image(spot, shape).astype(float)

    center_down = (resized.sum(axis=1) @ (np.arange(shape[0]) + 0.5)) / resized.sum() / shape[0]
    center_across = (resized.sum(axis=0) @ (np.arange(shape[1]) + 0.5)) / resized.sum() / shape[1]
    assert center_down == pytest.approx(90.5 / rows, abs=0.001)
    assert center_across == pytest.approx(200.5 / columns, abs=0.001)


def test_scaling_is_close_to_lanczos_of_every_pixel() -> None:
    picture = make_picture(400, 500)
    expected = np.asarray(Image.fromarray(picture).resize((110, 90), Image.Resampling.LANCZOS))

    assert decibels(resize_image(picture, (90, 110)), expected) > 30


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("quality", "least"), [(0, 20), (25, 29), (100, 40)])
def test_gray_comes_back_as_neutral_gray(suffix: str, quality: int, least: float) -> None:
    picture = make_picture()

    decoded, image = decode(encode_image(picture, suffix, quality))

    assert image.format == ("WEBP" if suffix == ".webp" else "JPEG")
    assert image.mode == ("RGB" if suffix == ".webp" else "L")
    colors = decoded if decoded.ndim == 3 else decoded[..., np.newaxis]
    assert np.ptp(colors.astype(int), axis=2).max() <= 2
    assert decibels(colors[..., 0], picture) > least


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_black_and_white_survive(suffix: str) -> None:
    halves = np.zeros((64, 64), np.uint8)
    halves[:, 32:] = 255

    decoded, _ = decode(encode_image(halves, suffix, 90))

    assert decoded[:, :16].max() <= 2
    assert decoded[:, 48:].min() >= 253


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_colors_come_back(suffix: str) -> None:
    colors = np.zeros((32, 96, 3), np.uint8)
    for channel in range(3):
        colors[:, 32 * channel : 32 * channel + 32, channel] = 220

    decoded, image = decode(encode_image(colors, suffix, 90))

    assert image.mode == "RGB"
    assert np.abs(decoded[16, [16, 48, 80]].astype(int) - colors[16, [16, 48, 80]]).max() < 12


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_better_quality_takes_more_bytes(suffix: str) -> None:
    sizes = [len(encode_image(make_picture(), suffix, quality)) for quality in (0, 25, 75, 100)]

    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_are_the_same_each_time_and_hold_pixels_alone(suffix: str) -> None:
    picture = make_picture()
    data = encode_image(picture, suffix, 25)

    assert encode_image(picture.copy(), suffix, 25) == data
    _, image = decode(data)
    assert not image.getexif()
    assert not {"icc_profile", "exif", "xmp", "comment"} & set(image.info)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_suffixes_are_read_in_any_case(suffix: str) -> None:
    picture = make_picture()

    assert encode_image(picture, suffix.upper(), 25) == encode_image(picture, suffix, 25)


@pytest.mark.parametrize("suffix", ["", ".png", "webp", ".gif"])
def test_other_suffixes_are_refused_with_the_names_of_these(suffix: str) -> None:
    with pytest.raises(OptionsError, match=r"\.webp, \.jpg, \.jpeg"):
        encode_image(make_picture(), suffix, 25)


@pytest.mark.skipif(not DATA.is_dir(), reason="the development data are not here")
def test_a_real_slice_keeps_its_look() -> None:
    path = min((DATA / "series" / "ed96988a-3a9a-566c-9a25-227a18d9c04c").iterdir())
    transform = GrayscaleTransform(intercept=-1024)
    frame = StoredFrame(values=pydicom.dcmread(path).pixel_array, transform=transform, aspect=1.0)
    tile = resize_image(display_values(frame, Window(center=50, width=400)), (128, 128))

    data = encode_image(tile, ".webp", 25)

    assert decibels(decode(data)[0][..., 1], tile) > 28
    assert len(data) < 4000
