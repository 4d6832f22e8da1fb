"""What other series say of a frame, as a picture to lay over it: segments, doses, maps, and contours of structures."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from dsp_batch.core.planes import ImagePlane
from dsp_batch.core.windowing import display_values
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.pixels.color import convert_from_lab
from dsp_batch.errors import DspBatchError, PixelError
from dsp_batch.kinds.kind import Picture
from dsp_batch.kinds.maps import DOSE, PARAMETRIC_MAP
from dsp_batch.kinds.overlays.structures import list_contours, list_regions
from dsp_batch.kinds.registry import find_kind
from dsp_batch.kinds.segmentation import SEGMENTATION
from dsp_batch.model.frame import StoredFrame
from dsp_batch.model.series import ByteArray, FloatArray
from dsp_batch.render.compose import PictureSet, compose_group
from dsp_batch.web.viewer.library import OpenSeries
from dsp_batch.web.viewer.pixels.frames import full_range_window
from dsp_batch.web.viewer.pixels.planes import find_beneath, find_frames_at, find_plane

LayerKind = Literal["segmentation", "dose", "map", "structures"]

_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"

_LOWEST_SHOWN = 26
"""Display value below which a dose or a map is clear: a tenth of its largest value."""

_CONTOUR_REACH = 0.75
"""Millimeters from a plane up to which a contour is drawn in it."""


def name_layer_kind(sop_class_uid: str) -> LayerKind | None:
    """Tell what objects of a SOP class lay over images; None for those that do not."""
    kind = find_kind(sop_class_uid)
    if kind is SEGMENTATION:
        return "segmentation"
    if kind is DOSE:
        return "dose"
    if kind is PARAMETRIC_MAP:
        return "map"
    return "structures" if sop_class_uid == _STRUCTURE_SET else None


def find_reference_frames(attributes: Attributes) -> list[str]:
    """List the Frame of Reference UIDs (0020,0052) that an object lies in."""
    named = [item.text("FrameOfReferenceUID") for item in attributes.items("ReferencedFrameOfReferenceSequence")]
    return [uid for uid in dict.fromkeys([attributes.text("FrameOfReferenceUID"), *named]) if uid]


def describe_legend(opened: OpenSeries, kind: LayerKind) -> list[dict[str, Any]]:
    """List what the colors of a layer mean: number, label and color of each segment or structure."""
    attributes = opened.index.attributes(0)
    if kind == "segmentation":
        return [
            {
                "number": item.integer("SegmentNumber"),
                "label": item.text("SegmentLabel"),
                "color": _lab_color(item.numbers("RecommendedDisplayCIELabValue")),
            }
            for item in attributes.items("SegmentSequence")
        ]
    if kind == "structures":
        regions = enumerate(list_regions(attributes), 1)
        return [{"number": number, "label": each.name, "color": list(each.color)} for number, each in regions]
    return []


def draw_layer(opened: OpenSeries, kind: LayerKind, plane: ImagePlane) -> ByteArray | None:
    """Draw what a series says of a plane.

    Args:
        opened: The series.
        kind: What it lays over images.
        plane: The plane of the frame beneath.

    Returns:
        RGBA, of the shape of the plane and 4, clear where nothing is said; None where the series does not reach it.

    Raises:
        PixelError: Its frames cannot be decoded.
        StorageError: They cannot be read.
    """
    if kind == "structures":
        return _draw_contours(opened, plane)
    refs = find_frames_at(opened, plane)
    beneath = find_plane(opened, refs[0]) if refs else None
    if beneath is None:
        return None
    frames = tuple(refs) if kind == "segmentation" else (refs[0],)
    some = PictureSet(index=opened.index, source=opened.source, pictures=[Picture(frames=frames)])
    composed = next(compose_group(some))
    if isinstance(composed, DspBatchError):
        raise composed
    rows, columns, inside = find_beneath(plane, beneath)
    layer = _color_layer(composed)[rows, columns]
    layer[~inside] = 0
    return layer


def _color_layer(frame: StoredFrame) -> ByteArray:
    """Color the pixels of a layer, and leave clear those that say nothing."""
    if frame.is_color:
        shown = frame.values.any(axis=2)
        return np.dstack([frame.values, np.where(shown, np.uint8(255), np.uint8(0))])
    window = full_range_window(frame)
    if window is None or frame.color_map is None:
        raise PixelError("the layer has no values to show")
    display = display_values(frame, window)
    return np.dstack([frame.color_map[display], np.where(display >= _LOWEST_SHOWN, np.uint8(255), np.uint8(0))])


class _ColoredContour(NamedTuple):
    """One closed contour of a structure."""

    points: FloatArray
    """In mm and patient coordinates, shape (n, 3)."""

    color: tuple[int, int, int]


def _color_contours(opened: OpenSeries) -> list[_ColoredContour]:
    found = []
    for row in range(len(opened.index)):
        header = opened.index.attributes(row)
        regions = list(list_regions(header))
        found += [_ColoredContour(each.points, regions[each.region].color) for each in list_contours(header)]
    return found


def _draw_contours(opened: OpenSeries, plane: ImagePlane) -> ByteArray | None:
    contours = opened.derive("contours", lambda: _color_contours(opened))
    near = [each for each in contours if np.abs(plane.measure_distance(each.points)).max() <= _CONTOUR_REACH]
    if not near:
        return None
    layer = np.zeros((*plane.shape, 4), np.uint8)
    for contour in near:
        _trace(layer, plane.project(contour.points), contour.color)
    return layer


def _trace(layer: ByteArray, places: FloatArray, color: tuple[int, int, int]) -> None:
    """Draw the closed line through some places, column and row of each, by points half a pixel apart."""
    ends = np.roll(places, -1, axis=0)
    longest = float(np.abs(ends - places).max(initial=0))
    steps = np.linspace(0, 1, min(int(2 * longest) + 2, 2 * max(layer.shape)))[:, None, None]
    line = np.floor(places + (ends - places) * steps).reshape(-1, 2).astype(np.int64)
    columns, rows = line[((line >= 0) & (line < layer.shape[1::-1])).all(axis=1)].T
    layer[rows, columns] = (*color, 255)


def _lab_color(numbers: tuple[float, ...]) -> list[int] | None:
    return list(convert_from_lab(numbers)) if len(numbers) == 3 else None
