"""Segmentations: the segments at one position, painted in their recommended colors (PS3.3 A.51, C.8.20)."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator

import numpy as np

from dsp_batch.attributes import Attributes
from dsp_batch.dicom.color import convert_from_lab
from dsp_batch.dicom.drawing import Drawer, Frames, Instances, Picture
from dsp_batch.dicom.groups import frame_macro
from dsp_batch.errors import PixelError
from dsp_batch.model import FloatArray, FrameRef, GrayscaleTransform, StoredFrame

_GOLDEN_RATIO = 0.618034
"""Hues that far apart stay distinct however many there are."""


def list_segmentation_pictures(instances: Instances) -> list[Picture]:
    """One picture a position: the frames of all segments there.

    Whether a segment has any pixel there is told by no header: `is_blank` tells it of what was read.

    References:
        DICOM PS3.3 C.8.20.4 (Segmentation functional groups).
    """
    return [
        Picture(frames=tuple(FrameRef(row, frame) for frame in frames))
        for row, attributes in instances.items()
        for frames in _group_by_position(attributes)
    ]


def _group_by_position(attributes: Attributes) -> list[list[int]]:
    groups: dict[tuple[float, ...], list[int]] = {}
    for frame in range(max(attributes.integer("NumberOfFrames") or 1, 1)):
        item = attributes.item_at("PerFrameFunctionalGroupsSequence", frame)
        groups.setdefault(_position_of(item) or (-1.0, frame), []).append(frame)
    return list(groups.values())


def _position_of(groups: Attributes) -> tuple[float, ...]:
    """Where a frame lies, in the patient or on a slide; empty where that is unknown."""
    position = groups.item("PlanePositionSequence").numbers("ImagePositionPatient")
    if position:
        return tuple(round(coordinate, 2) for coordinate in position)
    tile = groups.item("PlanePositionSlideSequence")
    return tile.numbers("RowPositionInTotalImagePixelMatrix") + tile.numbers("ColumnPositionInTotalImagePixelMatrix")


def compose_segmentation(picture: Picture, attributes: Attributes, frames: Frames) -> StoredFrame:
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
    canvas: FloatArray = np.zeros((*first.values.shape, 3), np.float32)
    is_label_map = (attributes.text("SegmentationType") or "").upper() == "LABELMAP"
    for ref in found:
        for number, coverage in _coverages(attributes, ref.frame, frames[ref], is_label_map=is_label_map):
            color = np.asarray(colors.get(number) or _distinct_color(number), np.float32)
            canvas += coverage[..., None] * (color - canvas)
    values = np.rint(canvas).astype(np.uint8)
    return StoredFrame(values=values, transform=GrayscaleTransform(), aspect=first.aspect)


def _coverages(
    attributes: Attributes, frame: int, stored: StoredFrame, *, is_label_map: bool
) -> Iterator[tuple[int, FloatArray]]:
    """Segments of a frame, with how much of each pixel they cover, 0 … 1."""
    if is_label_map:
        for number in np.unique(stored.values[stored.values != 0]):
            yield int(number), (stored.values == number).astype(np.float32)
        return
    identification = frame_macro(attributes, frame, "SegmentIdentificationSequence")
    number = identification.integer("ReferencedSegmentNumber") or 1
    is_fractional = (attributes.text("SegmentationType") or "").upper() == "FRACTIONAL"
    top = (attributes.number("MaximumFractionalValue") or 255.0) if is_fractional else 1.0
    yield number, np.clip(stored.values / np.float32(top), 0, 1).astype(np.float32)


def _segment_colors(attributes: Attributes) -> dict[int, tuple[int, int, int]]:
    """Segment number → recommended color, where there is one."""
    colors = {}
    for segment in attributes.items("SegmentSequence"):
        number, lab = segment.integer("SegmentNumber"), segment.numbers("RecommendedDisplayCIELabValue")
        if number is not None and len(lab) == 3:
            colors[number] = convert_from_lab(lab)
    return colors


def _distinct_color(number: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN_RATIO % 1, 0.65, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def is_blank(picture: StoredFrame) -> bool:
    """Whether no segment has a pixel in a composed picture. Many writers store such frames all the same."""
    return not picture.values.any()


SEGMENTATION = Drawer(
    list_pictures=list_segmentation_pictures, compose=compose_segmentation, in_color=True, is_blank=is_blank
)
