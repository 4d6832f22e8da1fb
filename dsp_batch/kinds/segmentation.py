"""Draw segmentations: the segments at one position, in their recommended colors (PS3.3 A.51, C.8.20)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dsp_batch.dicom.codes import read_code
from dsp_batch.dicom.headers.attributes import Attributes, frame_macro
from dsp_batch.dicom.pixels.color import convert_from_lab
from dsp_batch.errors import PixelError
from dsp_batch.kinds.kind import Contents, Kind, Picture, StoredFrames
from dsp_batch.model.frame import GrayscaleTransform, StoredFrame
from dsp_batch.model.scene import Color, spread_hue
from dsp_batch.model.series import BoolArray, FrameRef, StoredArray

_MOST_TILES = 4096
"""Tiles of a segmentation of a slide that are read, at most."""

_MOST_PIXELS = 1 << 24
"""Pixels of a stitched segmentation, at most; a larger one is thinned out to that."""


def list_segmentation_pictures(contents: Contents) -> list[Picture]:
    """List one picture for each position, made of the frames of all segments there.

    Headers do not tell whether a segment has any pixel at a position. `is_blank` tells it of a composed picture.

    References:
        DICOM PS3.3 C.8.20.4 (Segmentation functional groups).
    """
    pictures: list[Picture] = []
    for row, attributes in contents.instances.items():
        stitched = _stitch_tiles(row, attributes)
        groups = [] if stitched else _group_by_position(attributes)
        pictures += [stitched] if stitched else []
        pictures += [Picture(frames=tuple(FrameRef(row, frame) for frame in frames)) for frames in groups]
    return pictures


def _stitch_tiles(row: int, attributes: Attributes) -> Picture | None:
    """Make one picture of the tiles of a segmentation of a slide; None for others, and for those of too many tiles.

    The tiles of each segment follow those of the one before, each a whole matrix (PS3.3 C.7.6.17.3).
    """
    rows, columns = attributes.integer("Rows") or 0, attributes.integer("Columns") or 0
    matrix = attributes.integer("TotalPixelMatrixRows") or 0, attributes.integer("TotalPixelMatrixColumns") or 0
    count = max(attributes.integer("NumberOfFrames") or 1, 1)
    is_full = (attributes.text("DimensionOrganizationType") or "").upper() == "TILED_FULL"
    if not is_full or min(rows, columns, *matrix) <= 0 or count > _MOST_TILES:
        return None
    down, across = -(-matrix[0] // rows), -(-matrix[1] // columns)
    places = [frame % (down * across) for frame in range(count)]
    return Picture(
        frames=tuple(FrameRef(row, frame) for frame in range(count)),
        tile_offsets=tuple((place // across * rows, place % across * columns) for place in places),
        matrix=matrix,
        step=max(math.ceil(math.sqrt(matrix[0] * matrix[1] / _MOST_PIXELS)), 1),
    )


def _find_segment(attributes: Attributes, frame: int) -> int:
    """Find the number of the segment that a frame is of, which a tile tells by its place among all tiles."""
    identification = frame_macro(attributes, frame, "SegmentIdentificationSequence")
    number = identification.integer("ReferencedSegmentNumber")
    segments = attributes.items("SegmentSequence")
    if number is not None or len(segments) < 2:
        return number or 1
    tiles = max(attributes.integer("NumberOfFrames") or 1, 1) // len(segments)
    place = min(frame // max(tiles, 1), len(segments) - 1)
    return segments[place].integer("SegmentNumber") or place + 1


def _group_by_position(attributes: Attributes) -> list[list[int]]:
    groups: dict[tuple[float, ...], list[int]] = {}
    for frame in range(max(attributes.integer("NumberOfFrames") or 1, 1)):
        item = attributes.item_at("PerFrameFunctionalGroupsSequence", frame)
        groups.setdefault(_position_of(item) or (-1.0, frame), []).append(frame)
    return list(groups.values())


def _position_of(groups: Attributes) -> tuple[float, ...]:
    """Read the position of a frame, in the patient or on a slide; empty where it is unknown."""
    position = groups.item("PlanePositionSequence").numbers("ImagePositionPatient")
    if position:
        return tuple(round(coordinate, 2) for coordinate in position)
    tile = groups.item("PlanePositionSlideSequence")
    return tile.numbers("RowPositionInTotalImagePixelMatrix") + tile.numbers("ColumnPositionInTotalImagePixelMatrix")


def compose_segmentation(picture: Picture, attributes: Attributes, frames: StoredFrames) -> StoredFrame:
    """Paint segments over black, in the order of their frames.

    Args:
        picture: Frames at one position.
        attributes: The header.
        frames: Their stored values: 0 or 1 (BINARY), a fraction of Maximum Fractional Value (FRACTIONAL), segment
            numbers (LABELMAP), or the colors of a label map's own palette.

    Returns:
        RGB.
    """
    if picture.tile_offsets:
        return _compose_tiles(picture, attributes, frames)
    found = [ref for ref in picture.frames if ref in frames]
    if not found:
        raise PixelError("no frame of the segmentation at this position could be read")
    first = frames[found[0]]
    if first.is_color:
        return first
    colors = _segment_colors(attributes)
    kind = (attributes.text("SegmentationType") or "").upper()
    top = (attributes.number("MaximumFractionalValue") or 255.0) if kind == "FRACTIONAL" else None
    canvas = np.zeros((first.values.size, 3), np.float32 if top else np.uint8)
    for ref in found:
        values = frames[ref].values.ravel()
        if kind == "LABELMAP":
            for number in np.unique(values[values != 0]).tolist():
                canvas[values == number] = _color_of(number, colors)
        else:
            color = _color_of(_find_segment(attributes, ref.frame), colors)
            _paint_segment(canvas, values, color, top)
    image = (np.rint(canvas).astype(np.uint8) if top else canvas).reshape(*first.values.shape, 3)
    return StoredFrame(values=image, transform=GrayscaleTransform(), aspect=first.aspect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One segment, as it is named and drawn."""

    number: int
    """Segment Number (0062,0004)."""

    name: str
    color: Color


def list_segments(attributes: Attributes) -> list[Segment]:
    """List the segments that a header describes, in its order."""
    colors = _segment_colors(attributes)
    return [
        Segment(number=number, name=name, color=_color_of(number, colors))
        for number, name in _name_segments(attributes).items()
    ]


def _compose_tiles(picture: Picture, attributes: Attributes, frames: StoredFrames) -> StoredFrame:
    """Paint the segments of each tile, and put the tiles where they go."""
    (rows, columns), step = picture.matrix, picture.step
    canvas = np.zeros((-(-rows // step), -(-columns // step), 3), np.uint8)
    places: dict[tuple[int, int], list[FrameRef]] = {}
    for ref, offset in zip(picture.frames, picture.tile_offsets, strict=True):
        places.setdefault(offset, []).append(ref)
    aspect: float | None = None
    for (top, left), refs in places.items():
        found = tuple(ref for ref in refs if ref in frames)
        if not found:
            continue
        tile = compose_segmentation(Picture(frames=found), attributes, frames)
        aspect = tile.aspect
        cut = tile.values[-top % step : rows - top : step, -left % step : columns - left : step]
        at_row, at_column = -(-top // step), -(-left // step)
        canvas[at_row : at_row + cut.shape[0], at_column : at_column + cut.shape[1]] = cut
    if aspect is None:
        raise PixelError("no tile of the segmentation could be read")
    return StoredFrame(values=canvas, transform=GrayscaleTransform(), aspect=aspect)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentMask:
    """The pixels that one segment covers at a position."""

    segment: Segment
    covered: BoolArray
    """Shape (rows, columns). Of fractional segments those pixels of which it covers half or more."""


def list_masks(picture: Picture, attributes: Attributes, frames: StoredFrames) -> list[SegmentMask]:
    """List the segments that cover any pixel at a position, the largest first.

    Args:
        picture: Frames at one position.
        attributes: The header.
        frames: Their stored values, as in `compose_segmentation`.
    """
    kind = (attributes.text("SegmentationType") or "").upper()
    half = (attributes.number("MaximumFractionalValue") or 255.0) / 2 if kind == "FRACTIONAL" else 1
    covered: dict[int, BoolArray] = {}
    for ref in picture.frames:
        if ref not in frames or frames[ref].is_color:
            continue
        values = frames[ref].values
        if kind == "LABELMAP":
            covered |= {number: values == number for number in np.unique(values[values != 0]).tolist()}
            continue
        number = _find_segment(attributes, ref.frame)
        mask = values >= half
        covered[number] = covered[number] | mask if number in covered else mask
    known = {segment.number: segment for segment in list_segments(attributes)}
    found = [
        SegmentMask(segment=known.get(number) or _describe_unknown(number), covered=mask)
        for number, mask in covered.items()
        if mask.any()
    ]
    return sorted(found, key=lambda mask: -int(np.count_nonzero(mask.covered)))


def _describe_unknown(number: int) -> Segment:
    """Describe a segment that pixels speak of and the header does not."""
    return Segment(number=number, name=f"Segment {number}", color=spread_hue(number))


def _name_segments(attributes: Attributes) -> dict[int, str]:
    """Name each segment: by its label, else by its type."""
    return {
        number: segment.text("SegmentLabel")
        or str(read_code(segment, "SegmentedPropertyTypeCodeSequence"))
        or f"Segment {number}"
        for segment in attributes.items("SegmentSequence")
        if (number := segment.integer("SegmentNumber")) is not None
    }


def _paint_segment(canvas: npt.NDArray[Any], values: StoredArray, color: Color, top: float | None) -> None:
    """Paint the pixels that a segment covers; `top` covers wholly, None where anything does.

    They are few in most planes: blending all of the canvas takes ten times as long.
    """
    covered = np.flatnonzero(values > 0)
    if top is None:
        canvas[covered] = color
    else:
        coverage = np.clip(values[covered] / np.float32(top), 0, 1).astype(np.float32)[:, np.newaxis]
        canvas[covered] += coverage * (np.asarray(color, np.float32) - canvas[covered])


def _segment_colors(attributes: Attributes) -> dict[int, Color]:
    """Read the recommended color of each segment that has one, by segment number."""
    colors = {}
    for segment in attributes.items("SegmentSequence"):
        number, lab = segment.integer("SegmentNumber"), segment.numbers("RecommendedDisplayCIELabValue")
        if number is not None and len(lab) == 3:
            colors[number] = convert_from_lab(lab)
    return colors


def _color_of(number: int, colors: Mapping[int, Color]) -> Color:
    """Choose the recommended color of a segment, else one that differs from those of its neighbours."""
    return colors[number] if number in colors else spread_hue(number)


def is_blank(picture: StoredFrame) -> bool:
    """Tell whether no segment has a pixel in a composed picture. Many writers store such frames."""
    return not picture.values.any()


SEGMENTATION = Kind(
    list_pictures=list_segmentation_pictures, compose=compose_segmentation, in_color=True, is_blank=is_blank
)
