"""A series as a moving picture: which frames, how fast, and what becomes of those that fail."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence
from pydicom.dataset import Dataset
from written_objects import add_pixels, make_dataset, write_dataset

from dsp_batch.errors import OptionsError
from dsp_batch.model.frame import EncodedImage
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import CineOptions
from dsp_batch.phantom.series import build_ct, build_ultrasound, write_collection
from dsp_batch.pipeline import draw_series
from dsp_batch.render.cine import CINE_SUFFIXES
from dsp_batch.storage.store import Store

MOVING = tuple(suffix for suffix in CINE_SUFFIXES if suffix != ".mp4")


def make_slice(value: int, number: int) -> Dataset:
    """An axial slice of one stored value; the first is the highest."""
    dataset = add_pixels(make_dataset(SOPInstanceUID=f"1.{number}", InstanceNumber=number + 1), size=16)
    dataset.PixelData = np.full((16, 16), value, "<u2").tobytes()
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [0, 0, -number]
    return dataset


def draw(root: Path, slices: Sequence[Dataset], suffix: str = ".gif", **options: object) -> EncodedImage:
    (root / "series").mkdir(parents=True)
    for number, dataset in enumerate(slices):
        (root / "series" / f"{number:03}.dcm").write_bytes(write_dataset(dataset))
    asked = CineOptions(**{"contrast": "255/127.5", "image_width": 16, **options})
    return draw_series(SeriesRef(root=str(root), series_uuid="series"), Store(str(root)), None, asked, suffix)


def levels(image: EncodedImage) -> list[int]:
    with Image.open(io.BytesIO(image.data)) as opened:
        return [round(np.asarray(each.convert("L")).mean()) for each in ImageSequence.Iterator(opened)]


def seconds(image: EncodedImage) -> float:
    with Image.open(io.BytesIO(image.data)) as opened:
        total = 0
        for each in ImageSequence.Iterator(opened):
            each.load()
            total += each.info["duration"]
        return total / 1000


def test_frames_follow_one_another_in_display_order(tmp_path: Path) -> None:
    image = draw(tmp_path, [make_slice(value, number) for number, value in enumerate([10, 60, 110, 160])])

    assert levels(image) == [10, 60, 110, 160]
    assert (image.width, image.height, image.n_tiles, image.drawn_as) == (16, 16, 4, "cine")


def test_a_range_and_a_number_of_frames_choose_as_for_a_mosaic(tmp_path: Path) -> None:
    slices = [make_slice(20 * number, number) for number in range(11)]

    assert levels(draw(tmp_path / "a", slices, frames=3)) == [0, 100, 200]
    assert levels(draw(tmp_path / "b", slices, start=0.5, end=0.7)) == [100, 120, 140]


@pytest.mark.parametrize("suffix", MOVING)
def test_an_object_is_shown_at_its_own_rate_another_at_ten_and_any_at_the_one_asked_for(
    tmp_path: Path, suffix: str
) -> None:
    fast = [make_slice(50 * number, number) for number in range(4)]
    for each in fast:
        each.CineRate = 20

    assert seconds(draw(tmp_path / "own", fast, suffix)) == pytest.approx(4 / 20)
    assert seconds(draw(tmp_path / "asked", fast, suffix, fps=4)) == pytest.approx(4 / 4)
    for each in fast:
        del each.CineRate
    assert seconds(draw(tmp_path / "none", fast, suffix)) == pytest.approx(4 / 10)


def test_a_frame_that_cannot_be_decoded_is_a_crossed_frame_wherever_it_stands(tmp_path: Path) -> None:
    slices = [make_slice(100, number) for number in range(4)]
    for number in (0, 2):
        slices[number].PixelData = b"\0" * 100

    image = draw(tmp_path, slices)

    assert (image.n_tiles, len(image.failures)) == (2, 2)
    shown = levels(image)
    assert [shown[1], shown[3]] == [100, 100]
    assert max(shown[0], shown[2]) < 50


@pytest.mark.parametrize("suffix", MOVING)
def test_colors_of_an_ultrasound_are_shown(tmp_path: Path, suffix: str) -> None:
    series = build_ultrasound()
    write_collection(tmp_path, [series])

    image = draw_series(
        SeriesRef(root=str(tmp_path), series_uuid=series.series_uuid), Store(str(tmp_path)), None, CineOptions(), suffix
    )

    with Image.open(io.BytesIO(image.data)) as opened:
        pixels = np.asarray(opened.convert("RGB")).astype(int)
    assert np.ptp(pixels, axis=2).max() > 50


def test_a_gif_that_would_be_too_fast_says_so(tmp_path: Path) -> None:
    image = draw(tmp_path, [make_slice(50 * number, number) for number in range(3)], fps=100)

    assert "a GIF shows 50 frames per second at most, not 100" in image.notes
    assert seconds(image) == pytest.approx(3 / 50)


@pytest.mark.parametrize("values", [{"fps": 0}, {"fps": float("nan")}, {"fps": 1e6}, {"frames": 0}, {"start": 2}])
def test_options_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(OptionsError):
        CineOptions(**values)


def test_without_ffmpeg_an_mp4_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(OptionsError, match="MP4 needs the program ffmpeg"):
        draw(tmp_path, [make_slice(1, 0)], ".mp4")


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg, which alone writes MP4, is not installed")
def test_ffmpeg_writes_an_mp4(tmp_path: Path) -> None:
    series = build_ct()
    write_collection(tmp_path, [series])
    ref, store = SeriesRef(root=str(tmp_path), series_uuid=series.series_uuid), Store(str(tmp_path))

    first, second = (draw_series(ref, store, None, CineOptions(image_width=65), ".mp4") for _ in range(2))

    assert first.data[4:8] == b"ftyp"
    assert b"avc1" in first.data
    assert first.data == second.data
    assert "<video" in first._repr_mimebundle_()["text/html"]
