"""Whole slides: one small picture of the slide, never its label and never gigapixels (PS3.3 A.32.8, C.8.12)."""

from __future__ import annotations

import numpy as np

from dsp_batch.attributes import Attributes
from dsp_batch.dicom.color import convert_from_lab
from dsp_batch.dicom.drawing import Drawer, Frames, Instances, Picture
from dsp_batch.dicom.groups import frame_macro
from dsp_batch.errors import PixelError
from dsp_batch.model import ByteArray, FrameRef, StoredFrame

MIN_SIDE = 512
"""Pixels that the longer side of a level should have, to show more than a few spots."""

MAX_STITCHED = 1 << 24
"""Pixels of a level that is stitched: 16 million are 50 MB in RGB, and below every real base level."""

Place = tuple[int, int]
"""Row and column of a tile's first pixel in the total pixel matrix, from 0."""


def list_slide_pictures(instances: Instances) -> list[Picture]:
    """The one picture of the slide: its thumbnail, else its smallest useful level, else its overview.

    A lone level counts as base level and is stitched where it is small. Several series in one, with another
    focal plane or optical path, are one slide all the same.

    Returns:
        One picture; none where the slide has only a label or a base level of gigapixels.

    References:
        DICOM PS3.3 C.8.12.4.1.1 (Image Type), C.7.6.17.3 (Dimension Organization Type TILED_FULL).
    """
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
    frames = _place_tiles(instances[chosen]).values()
    return [Picture(frames=tuple(FrameRef(chosen, frame) for frame in frames))]


def _flavor(attributes: Attributes) -> str:
    """Third value of Image Type; slides that do not tell are volumes."""
    values = attributes.texts("ImageType")
    return values[2].strip().upper() if len(values) > 2 and values[2].strip() else "VOLUME"


def _matrix_shape(attributes: Attributes) -> tuple[int, int]:
    """Rows and columns of the total pixel matrix."""
    rows = attributes.integer("TotalPixelMatrixRows") or attributes.integer("Rows") or 0
    return rows, attributes.integer("TotalPixelMatrixColumns") or attributes.integer("Columns") or 0


def _pixels(attributes: Attributes) -> int:
    rows, columns = _matrix_shape(attributes)
    return rows * columns


def _choose_level(levels: Instances) -> int | None:
    """The smallest level of a useful size, else the largest below it."""
    drawable = [row for row, attributes in levels.items() if 0 < _pixels(attributes) <= MAX_STITCHED]
    useful = [row for row in drawable if max(_matrix_shape(levels[row])) >= MIN_SIDE]
    if useful:
        return min(useful, key=lambda row: _pixels(levels[row]))
    return max(drawable, key=lambda row: _pixels(levels[row]), default=None)


def _place_tiles(attributes: Attributes) -> dict[Place, int]:
    """Where each tile goes → its frame: of the first focal plane and optical path that has one there."""
    n_frames = max(attributes.integer("NumberOfFrames") or 1, 1)
    rows, columns = attributes.integer("Rows") or 1, attributes.integer("Columns") or 1
    total_rows, total_columns = _matrix_shape(attributes)
    across, down = -(-total_columns // columns), -(-total_rows // rows)
    places: dict[Place, int] = {}
    per_frame = attributes.items("PerFrameFunctionalGroupsSequence")
    is_sparse = (attributes.text("DimensionOrganizationType") or "").upper() != "TILED_FULL" and per_frame
    for frame in range(n_frames if is_sparse else min(n_frames, across * down)):
        place: Place = (frame // across * rows, frame % across * columns)
        if is_sparse:
            position = frame_macro(attributes, frame, "PlanePositionSlideSequence")
            row = position.integer("RowPositionInTotalImagePixelMatrix")
            column = position.integer("ColumnPositionInTotalImagePixelMatrix")
            place = ((row or 1) - 1, (column or 1) - 1)
        places.setdefault(place, frame)
    return places


def compose_slide(picture: Picture, attributes: Attributes, frames: Frames) -> StoredFrame:
    """Stitch the tiles of a level.

    Args:
        picture: Tiles of one instance.
        attributes: Its header.
        frames: Decoded tiles; where one is missing the background shows.

    Returns:
        The total pixel matrix, in color or, of fluorescence, in stored values.
    """
    found = {ref.frame: frames[ref] for ref in picture.frames if ref in frames}
    if not found:
        raise PixelError("no tile of the slide could be read")
    first = next(iter(found.values()))
    rows, columns = _matrix_shape(attributes)
    canvas = np.empty((rows, columns, *first.values.shape[2:]), first.values.dtype)
    canvas[...] = _background(attributes) if first.is_color else 0
    for (top, left), frame in _place_tiles(attributes).items():
        if frame in found and 0 <= top < rows and 0 <= left < columns:
            tile = found[frame].values[: rows - top, : columns - left]
            canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return StoredFrame(values=canvas, transform=first.transform, aspect=first.aspect)


def _background(attributes: Attributes) -> ByteArray:
    """Color of absent tiles: the recommended one, else white, as glass is."""
    lab = attributes.numbers("RecommendedAbsentPixelCIELabValue")
    return np.array(convert_from_lab(lab) if len(lab) == 3 else (255, 255, 255), np.uint8)


SLIDE = Drawer(list_pictures=list_slide_pictures, compose=compose_slide)
