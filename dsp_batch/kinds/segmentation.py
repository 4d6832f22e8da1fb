"""Draw segmentations: the segments at one position, in their recommended colors (PS3.3 A.51, C.8.20)."""

from __future__ import annotations

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


def list_segmentation_pictures(contents: Contents) -> list[Picture]:
    """List one picture for each position, made of the frames of all segments there.

    Headers do not tell whether a segment has any pixel at a position. `is_blank` tells it of a composed picture.

    References:
        DICOM PS3.3 C.8.20.4 (Segmentation functional groups).
    """
    return [
        Picture(frames=tuple(FrameRef(row, frame) for frame in frames))
        for row, attributes in contents.instances.items()
        for frames in _group_by_position(attributes)
    ]


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
            identification = frame_macro(attributes, ref.frame, "SegmentIdentificationSequence")
            color = _color_of(identification.integer("ReferencedSegmentNumber") or 1, colors)
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
        identification = frame_macro(attributes, ref.frame, "SegmentIdentificationSequence")
        number = identification.integer("ReferencedSegmentNumber") or 1
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
