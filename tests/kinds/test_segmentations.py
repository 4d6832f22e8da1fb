"""Segmentations from the object to the preview: what is empty is not shown, and little is read to know it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless
from written_segmentations import segment_planes

from dsp_batch.model.contrast import AUTO
from dsp_batch.model.frame import EncodedImage
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import ContrastMosaicOptions, ImageOptions, ImageVerbOptions, MosaicOptions
from dsp_batch.pipeline import draw_series
from dsp_batch.storage.store import Store
from dsp_batch.storage.usage import Usage, measure_usage

SIZE, PLANES = 64, 26
FRAME_BYTES = SIZE * SIZE // 8
COLORS = ((200, 40, 40), (40, 80, 220))


def write_segmentation(root: Path, masks: npt.NDArray[Any], kind: str = "BINARY", **more: Any) -> SeriesRef:
    """Write a segmentation by highdicom that stores each frame, empty or not."""
    written = segment_planes(masks, COLORS, kind, omit_empty_frames=False, **more)
    (root / "series").mkdir()
    written.save_as(root / "series" / "a.dcm")
    return SeriesRef(root=str(root), series_uuid="series")


def make_masks(first: int, stop: int) -> npt.NDArray[np.uint8]:
    """Two segments beside each other, in a range of the planes."""
    masks = np.zeros((PLANES, SIZE, SIZE, 2), np.uint8)
    masks[first:stop, 10:50, 10:30, 0] = 1
    masks[first:stop, 10:50, 34:54, 1] = 1
    return masks


def draw(ref: SeriesRef, options: ImageVerbOptions) -> tuple[EncodedImage, npt.NDArray[np.uint8], Usage]:
    with measure_usage() as usage:
        image = draw_series(ref, Store(ref.root), None, options, ".webp")
    with Image.open(io.BytesIO(image.data)) as opened:
        return image, np.asarray(opened.convert("RGB")), usage


def tile_sums(pixels: npt.NDArray[np.uint8], columns: int) -> list[bool]:
    rows = pixels.shape[0] // SIZE
    tiles = pixels.reshape(rows, SIZE, columns, SIZE, 3).swapaxes(1, 2)
    return [bool(tile.max() > 60) for tile in tiles.reshape(-1, SIZE, SIZE, 3)]


@pytest.mark.parametrize(("first", "stop"), [(0, PLANES), (19, 26), (5, 8)])
def test_a_mosaic_shows_planes_with_segments_alone(first: int, stop: int, tmp_path: Path) -> None:
    ref = write_segmentation(tmp_path, make_masks(first, stop))

    image, pixels, _ = draw(ref, MosaicOptions(tile_width=3, image_width=SIZE, quality=90))

    shown = tile_sums(pixels, 3)
    assert image.n_tiles == min(9, stop - first) == sum(shown)
    assert shown[: image.n_tiles] == [True] * image.n_tiles


def test_looking_for_planes_with_segments_reads_three_times_as_many_at_most(tmp_path: Path) -> None:
    ref = write_segmentation(tmp_path, make_masks(8, 17))
    (path,) = (tmp_path / "series").iterdir()
    header = path.stat().st_size - PLANES * 2 * FRAME_BYTES

    _, _, usage = draw(ref, MosaicOptions(tile_width=2, image_width=SIZE))

    assert usage.bytes_read <= header + 3 * 4 * 2 * (FRAME_BYTES + 2) + (64 << 10)


def test_an_image_is_the_nearest_plane_with_segments(tmp_path: Path) -> None:
    ref = write_segmentation(tmp_path, make_masks(8, 17))

    for position in (0.0, 0.5, 1.0):
        _, pixels, _ = draw(ref, ImageOptions(position=position, image_width=SIZE))
        assert tile_sums(pixels, 1) == [True]
    _, walked, _ = draw(ref, ImageOptions(position=0.0, slice_offset=1, image_width=SIZE))
    _, columns, _ = draw(ref, ContrastMosaicOptions(contrasts=(AUTO, AUTO), position=0.0, image_width=SIZE))
    assert tile_sums(walked, 1) == [False]
    assert tile_sums(columns, 2) == [True, True]


def test_a_segmentation_of_nothing_is_drawn_black(tmp_path: Path) -> None:
    ref = write_segmentation(tmp_path, make_masks(0, 0))

    image, pixels, _ = draw(ref, MosaicOptions(tile_width=2, image_width=SIZE))

    assert image.n_tiles == 4
    assert pixels.max() < 16


@pytest.mark.parametrize(
    ("kind", "syntax"),
    [
        ("BINARY", ExplicitVRLittleEndian),
        ("FRACTIONAL", ExplicitVRLittleEndian),
        ("FRACTIONAL", JPEGLSLossless),
        ("LABELMAP", ExplicitVRLittleEndian),
        ("LABELMAP", JPEGLSLossless),
    ],
)
def test_segments_have_the_colors_that_highdicom_gave_them(kind: str, syntax: str, tmp_path: Path) -> None:
    masks = make_masks(8, 17)
    values = masks.astype(np.float32) if kind == "FRACTIONAL" else masks
    ref = write_segmentation(tmp_path, values, kind, transfer_syntax_uid=syntax)

    image, pixels, _ = draw(ref, MosaicOptions(tile_width=2, image_width=SIZE, quality=95))

    assert image.n_tiles == 4
    assert np.abs(pixels[25:35, 18:22].astype(int) - COLORS[0]).max() <= 12
    assert np.abs(pixels[25:35, 42:46].astype(int) - COLORS[1]).max() <= 12
    assert pixels[:6].max() < 16


def test_the_tiles_of_a_segmented_slide_are_stitched(tmp_path: Path) -> None:
    written = segment_planes(make_masks(0, 4)[:4], COLORS, "BINARY", omit_empty_frames=False)
    matrix = np.zeros((2, 100, 120), np.uint8)
    matrix[0, 20:90, 10:40], matrix[1, 50:60, 30:110] = 1, 1
    padded = np.pad(matrix, ((0, 0), (0, 28), (0, 8)))
    tiles = padded.reshape(2, 2, SIZE, 2, SIZE).swapaxes(2, 3).reshape(8, SIZE, SIZE)
    written.PixelData = np.packbits(tiles, bitorder="little").tobytes()
    written.NumberOfFrames, written.DimensionOrganizationType = 8, "TILED_FULL"
    written.TotalPixelMatrixRows, written.TotalPixelMatrixColumns = matrix.shape[1:]
    del written.PerFrameFunctionalGroupsSequence
    (tmp_path / "series").mkdir()
    written.save_as(tmp_path / "series" / "a.dcm")

    options = ImageOptions(position=0.5, image_width=120, quality=100)
    image, pixels, _ = draw(SeriesRef(root=str(tmp_path), series_uuid="series"), options)

    assert (image.n_tiles, image.width, image.height) == (1, 120, 100)
    expected = np.zeros((100, 120, 3), int)
    for mask, color in zip(matrix, COLORS, strict=True):
        expected[mask > 0] = color
    assert np.abs(pixels.astype(int) - expected).mean() < 4
