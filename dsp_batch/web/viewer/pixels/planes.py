"""Planes in the patient: where a frame lies, and which frames of another series lie there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsp_batch.core.planes import ImagePlane
from dsp_batch.dicom.headers.attributes import Attributes, frame_macro
from dsp_batch.kinds.overlays.images import ImageSeries
from dsp_batch.model.series import FrameRef
from dsp_batch.web.viewer.library import OpenSeries

_PARALLEL = 0.999
"""Cosine between the normals of two planes from which on they count as parallel: 2.5 degrees."""

_SAME_MM = 0.01
"""Distance below which two positions are one."""


def find_spacing(attributes: Attributes, frame: int) -> list[float] | None:
    """Find the spacing of a frame's rows and columns in mm (PS3.3 10.7.1.1); None where it is not told."""
    measures = frame_macro(attributes, frame, "PixelMeasuresSequence")
    spacing = measures.numbers("PixelSpacing") or attributes.numbers("PixelSpacing")
    return list(spacing) if len(spacing) == 2 and min(spacing) > 0 else None


def find_plane(opened: OpenSeries, ref: FrameRef) -> ImagePlane | None:
    """Find the plane of a frame; None where its header does not tell it."""
    return show_planes(opened).plane(ref)


def show_planes(opened: OpenSeries) -> ImageSeries:
    """Show an open series as one of images whose frames lie in planes."""
    return opened.derive("planes", lambda: ImageSeries(number=0, index=opened.index))


def find_frames_at(opened: OpenSeries, plane: ImagePlane) -> Sequence[FrameRef]:
    """Find the frames of a series that lie in a plane: the nearest ones, where they are parallel and near enough.

    Near enough is half the distance between its own planes, since each stands for what is around it.
    """
    table = opened.index.frames
    normals = np.cross(table.orientation[:, :3], table.orientation[:, 3:])
    with np.errstate(invalid="ignore"):
        is_parallel = np.abs(normals @ plane.normal) > _PARALLEL
    drawable = np.isin(table.instance, list(opened.drawable))
    chosen = np.flatnonzero(is_parallel & drawable & np.isfinite(table.position).all(axis=1))
    if not len(chosen):
        return []
    heights = plane.measure_distance(table.position[chosen])
    levels = np.unique(np.round(heights, 2))
    gap = float(np.diff(levels).min()) if len(levels) > 1 else _find_thickness(opened, int(table.instance[chosen[0]]))
    nearest = heights[np.abs(heights).argmin()]
    if abs(nearest) > gap / 2 + _SAME_MM:
        return []
    at = chosen[np.abs(heights - nearest) < _SAME_MM]
    return [FrameRef(int(table.instance[number]), int(table.frame[number])) for number in at]


def _find_thickness(opened: OpenSeries, row: int) -> float:
    """Find the thickness of a series of one plane, in mm; 1 where it is not told."""
    attributes = opened.index.attributes(row)
    measures = frame_macro(attributes, 0, "PixelMeasuresSequence")
    return measures.number("SliceThickness") or attributes.number("SliceThickness") or 1.0
