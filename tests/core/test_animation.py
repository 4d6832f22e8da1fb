"""Files of moving pictures: their frames, their time, and what is held while they are written."""

from __future__ import annotations

import io
import weakref
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageSequence

from dsp_batch.core.animation import ANIMATION_SUFFIXES, Animation, encode_animation, list_durations
from dsp_batch.errors import OptionsError

Pixels = npt.NDArray[np.uint8]


def gray_levels(*levels: int) -> Iterator[Pixels]:
    return (np.full((24, 32), level, np.uint8) for level in levels)


def animate(count: int, rate: float = 10.0, *, in_color: bool = False) -> Animation:
    return Animation(count=count, frames_per_second=rate, quality=90, in_color=in_color)


def read_frames(data: bytes) -> list[tuple[Pixels, float]]:
    """Each stored frame in color, and the milliseconds that it is shown."""
    with Image.open(io.BytesIO(data)) as image:
        found = []
        for frame in ImageSequence.Iterator(image):
            pixels = np.asarray(frame.convert("RGB"))  # before the time, which WebP knows only of a loaded frame
            found.append((pixels, frame.info["duration"]))
        return found


@pytest.mark.parametrize("suffix", ANIMATION_SUFFIXES)
def test_each_frame_is_shown_in_order_for_its_time(suffix: str) -> None:
    frames = read_frames(encode_animation(gray_levels(0, 100, 200), animate(3), suffix))

    assert [round(float(pixels.mean())) for pixels, _ in frames] == pytest.approx([0, 100, 200], abs=2)
    assert [milliseconds for _, milliseconds in frames] == [100, 100, 100]


@pytest.mark.parametrize("suffix", ANIMATION_SUFFIXES)
def test_frames_that_are_alike_count_by_their_time(suffix: str) -> None:
    frames = read_frames(encode_animation(gray_levels(0, 0, 0, 200, 200), animate(5), suffix))

    dark = sum(milliseconds for pixels, milliseconds in frames if pixels.mean() < 100)
    assert (dark, sum(milliseconds for _, milliseconds in frames)) == (300, 500)


@pytest.mark.parametrize("suffix", ANIMATION_SUFFIXES)
def test_colors_stay_and_gray_frames_among_them_too(suffix: str) -> None:
    red = np.broadcast_to(np.uint8([200, 0, 0]), (24, 32, 3))

    frames = read_frames(
        encode_animation(iter([np.full((24, 32), 90, np.uint8), red]), animate(2, in_color=True), suffix)
    )

    assert np.abs(frames[0][0].astype(int) - 90).max() <= 4
    assert np.abs(frames[1][0].astype(int) - [200, 0, 0]).max() <= 8


def test_a_gif_keeps_every_gray_level() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)

    frames = read_frames(encode_animation(iter([ramp, 255 - ramp]), animate(2), ".gif"))

    assert np.array_equal(frames[0][0][..., 0], ramp)
    assert np.array_equal(frames[1][0][..., 0], 255 - ramp)


@pytest.mark.parametrize("suffix", ANIMATION_SUFFIXES)
def test_the_same_frames_give_the_same_bytes(suffix: str) -> None:
    first, second = (encode_animation(gray_levels(3, 90, 30), animate(3), suffix) for _ in range(2))

    assert first == second


@pytest.mark.parametrize("suffix", ANIMATION_SUFFIXES)
def test_a_single_frame_is_a_still_picture(suffix: str) -> None:
    with Image.open(io.BytesIO(encode_animation(gray_levels(80), animate(1), suffix))) as image:
        assert getattr(image, "n_frames", 1) == 1


@pytest.mark.parametrize("suffix", ANIMATION_SUFFIXES)
def test_frames_are_let_go_when_they_are_encoded(suffix: str) -> None:
    made: list[weakref.ref[Pixels]] = []
    most = 0

    def make() -> Iterator[Pixels]:
        nonlocal most
        for level in range(40):
            tile = np.full((24, 32), level * 6, np.uint8)
            made.append(weakref.ref(tile))
            most = max(most, sum(each() is not None for each in made))
            yield tile
            del tile

    encode_animation(make(), animate(40), suffix)

    assert most <= 3


@pytest.mark.parametrize(("rate", "unit"), [(30, 10), (24, 10), (29.97, 1), (7, 1)])
def test_durations_add_up_to_the_time_of_all_frames(rate: float, unit: int) -> None:
    durations = list_durations(100, rate, unit)

    assert sum(durations) == pytest.approx(100_000 / rate, abs=unit)
    assert max(durations) - min(durations) <= unit


def test_a_gif_is_never_faster_than_browsers_show_it() -> None:
    frames = read_frames(encode_animation(gray_levels(0, 100, 200), animate(3, 200.0), ".gif"))

    assert [milliseconds for _, milliseconds in frames] == [20, 20, 20]


def test_other_formats_are_refused_by_name() -> None:
    with pytest.raises(OptionsError, match=r"'\.png'.*\.webp, \.avif, \.gif"):
        encode_animation(gray_levels(1), animate(1), ".png")
