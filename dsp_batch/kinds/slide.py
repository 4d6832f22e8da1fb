"""Draw whole slides: one small picture of the slide, never its label and never gigapixels (PS3.3 A.32.8, C.8.12)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dsp_batch.dicom.headers.attributes import Attributes, frame_macro
from dsp_batch.dicom.pixels.color import convert_from_lab
from dsp_batch.errors import PixelError
from dsp_batch.kinds.kind import Contents, Instances, Kind, Picture, StoredFrames
from dsp_batch.model.frame import StoredFrame
from dsp_batch.model.series import ByteArray, FrameRef

MIN_SIDE = 512
"""Smallest number of pixels that the longer side of a level should have, to show more than a few spots."""

MAX_STITCHED = 1 << 24
"""Largest number of pixels of a level that is stitched: 16 million are 50 MB in RGB, fewer than any real base level."""

TileOffset = tuple[int, int]
"""Row and column of a tile's first pixel in the total pixel matrix, from 0."""


def list_slide_pictures(contents: Contents) -> list[Picture]:
    """Choose the one picture of the slide: its thumbnail, else its smallest useful level, else its overview.

    A lone level counts as base level and is stitched where it is small. Instances of a concatenation are one level.
    Several series in one, with another focal plane or optical path, are one slide all the same.

    Returns:
        One picture; none where the slide has only a label or a base level of gigapixels.

    References:
        DICOM PS3.3 C.8.12.4.1.1 (Image Type), C.7.6.17.3 (Dimension Organization Type TILED_FULL).
    """
    instances = contents.instances
    flavors: dict[str, list[int]] = {}
    for row, attributes in instances.items():
        flavors.setdefault(_flavor(attributes), []).append(row)
    thumbnails = [row for row in flavors.get("THUMBNAIL", ()) if _pixels(instances[row]) <= MAX_STITCHED]
    chosen = max(thumbnails, key=lambda row: _pixels(instances[row]), default=None)
    if chosen is None:
        chosen = _choose_level({row: instances[row] for row in flavors.get("VOLUME", ())})
    if chosen is None:
        overviews = [row for row in flavors.get("OVERVIEW", ()) if _pixels(instances[row]) <= MAX_STITCHED]
        chosen = next(iter(overviews), None)
    if chosen is None:
        return []
    parts = {row: instances[row] for row in _join_concatenation(instances, chosen)}
    tiles = _lay_out_parts(parts)
    return [Picture(frames=tuple(tiles.values()), tile_offsets=tuple(tiles))] if tiles else []


def _flavor(attributes: Attributes) -> str:
    """Read the third value of Image Type. Slides that do not tell it count as volumes."""
    values = attributes.texts("ImageType")
    return values[2].strip().upper() if len(values) > 2 and values[2].strip() else "VOLUME"


def _matrix_shape(attributes: Attributes) -> tuple[int, int]:
    """Read the rows and columns of the total pixel matrix."""
    rows = attributes.integer("TotalPixelMatrixRows") or attributes.integer("Rows") or 0
    return rows, attributes.integer("TotalPixelMatrixColumns") or attributes.integer("Columns") or 0


def _join_concatenation(instances: Instances, chosen: int) -> list[int]:
    """List the rows of the instances that one image was split into, in its order (PS3.3 C.7.6.16.2.2.4)."""
    uid = instances[chosen].text("ConcatenationUID")
    if uid is None:
        return [chosen]
    parts = [row for row, attributes in instances.items() if attributes.text("ConcatenationUID") == uid]
    return sorted(parts, key=lambda row: (_first_frame(instances[row]), row != chosen))


def _first_frame(attributes: Attributes) -> int:
    """Read the number of frames of a concatenation in the instances before this one (0020,9228)."""
    return max(attributes.integer("ConcatenationFrameOffsetNumber") or 0, 0)


def _lay_out_parts(parts: Instances) -> dict[TileOffset, FrameRef]:
    """Find the offset of each tile of a level, which may be split over several instances.

    Returns:
        The first tile at each offset.
    """
    tiles: dict[TileOffset, FrameRef] = {}
    for row, attributes in parts.items():
        for frame, offset in _list_tile_offsets(attributes):
            tiles.setdefault(offset, FrameRef(row, frame))
    return tiles


def _pixels(attributes: Attributes) -> int:
    rows, columns = _matrix_shape(attributes)
    return rows * columns


def _choose_level(levels: Instances) -> int | None:
    """Choose the smallest level of a useful size, else the largest smaller one."""
    drawable = [row for row, attributes in levels.items() if 0 < _pixels(attributes) <= MAX_STITCHED]
    useful = [row for row in drawable if max(_matrix_shape(levels[row])) >= MIN_SIDE]
    if useful:
        return min(useful, key=lambda row: _pixels(levels[row]))
    return max(drawable, key=lambda row: _pixels(levels[row]), default=None)


def _list_tile_offsets(attributes: Attributes) -> Iterator[tuple[int, TileOffset]]:
    """Frames of an instance, and where each goes: of TILED_FULL only those of the first focal plane and optical path.

    Focal planes and optical paths of a TILED_FULL image follow one another, each a whole matrix of tiles, counted
    through all instances of a concatenation (PS3.3 C.7.6.17.3).
    """
    n_frames = max(attributes.integer("NumberOfFrames") or 1, 1)
    rows, columns = attributes.integer("Rows") or 1, attributes.integer("Columns") or 1
    total_rows, total_columns = _matrix_shape(attributes)
    across, down = -(-total_columns // columns), -(-total_rows // rows)
    is_full = (attributes.text("DimensionOrganizationType") or "").upper() == "TILED_FULL"
    if is_full or not attributes.items("PerFrameFunctionalGroupsSequence"):
        first = _first_frame(attributes)
        for number in range(first, min(first + n_frames, across * down)):
            yield number - first, (number // across * rows, number % across * columns)
        return
    for frame in range(n_frames):
        position = frame_macro(attributes, frame, "PlanePositionSlideSequence")
        row = position.integer("RowPositionInTotalImagePixelMatrix")
        column = position.integer("ColumnPositionInTotalImagePixelMatrix")
        yield frame, ((row or 1) - 1, (column or 1) - 1)


def compose_slide(picture: Picture, attributes: Attributes, frames: StoredFrames) -> StoredFrame:
    """Stitch the tiles of a level.

    Args:
        picture: Tiles of one level, and where they go.
        attributes: The header of the instance that holds the first one.
        frames: Decoded tiles; where one is missing the background shows.

    Returns:
        The total pixel matrix, in color or, of fluorescence, in stored values.
    """
    first = next((frames[ref] for ref in picture.frames if ref in frames), None)
    if first is None:
        raise PixelError("no tile of the slide could be read")
    rows, columns = _matrix_shape(attributes)
    canvas = np.empty((rows, columns, *first.values.shape[2:]), first.values.dtype)
    canvas[...] = _background(attributes) if first.is_color else 0
    for (top, left), ref in zip(picture.tile_offsets, picture.frames, strict=True):
        if ref in frames and 0 <= top < rows and 0 <= left < columns:
            tile = frames[ref].values[: rows - top, : columns - left]
            canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return StoredFrame(values=canvas, transform=first.transform, aspect=first.aspect)


def _background(attributes: Attributes) -> ByteArray:
    """Choose the color of absent tiles: the recommended one, else white, as glass is."""
    lab = attributes.numbers("RecommendedAbsentPixelCIELabValue")
    return np.array(convert_from_lab(lab) if len(lab) == 3 else (255, 255, 255), np.uint8)


SLIDE = Kind(list_pictures=list_slide_pictures, compose=compose_slide)
