"""Planes in the patient: where the pixels of a frame lie, and which pixels of another frame lie beneath them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dsp_batch.dicom.headers.attributes import Attributes, frame_macro
from dsp_batch.model.series import BoolArray, FloatArray, FrameRef, IntArray
from dsp_batch.render.read import pixels_of
from dsp_batch.web.viewer.library import OpenSeries

_PARALLEL = 0.999
"""Cosine between the normals of two planes from which on they count as parallel: 2.5 degrees."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImagePlane:
    """The plane of a frame (PS3.3 C.7.6.2.1.1), in mm and patient coordinates."""

    origin: FloatArray
    """Center of the first pixel, shape (3,)."""

    across: FloatArray
    """Step from a column to the next, shape (3,)."""

    down: FloatArray
    """Step from a row to the next, shape (3,)."""

    shape: tuple[int, int]
    """Rows and columns."""

    @property
    def normal(self) -> FloatArray:
        """Unit vector across the plane, shape (3,)."""
        normal = np.cross(self.across, self.down)
        unit: FloatArray = normal / np.linalg.norm(normal)
        return unit

    def distance(self, points: FloatArray) -> FloatArray:
        """Measure how far points, (…, 3), are from the plane, in mm."""
        away: FloatArray = np.abs((points - self.origin) @ self.normal)
        return away

    def locate(self, points: FloatArray) -> FloatArray:
        """Find row and column of points, (…, 3), projected on the plane; shape (…, 2)."""
        steps = np.stack([self.down, self.across], axis=1)
        found: FloatArray = (points - self.origin) @ np.linalg.pinv(steps).T
        return found

    def find_beneath(self, other: ImagePlane) -> tuple[IntArray, IntArray, BoolArray]:
        """Find the pixel of another plane that is nearest to each pixel of this one.

        Returns:
            Rows and columns of the other plane, and where they are inside of it; each of the shape of this plane.
        """
        first, along, below = other.locate(np.stack([self.origin, self.origin + self.across, self.origin + self.down]))
        rows, columns = np.arange(self.shape[0])[:, None], np.arange(self.shape[1])
        places = first + rows[..., None] * (below - first) + columns[..., None] * (along - first)
        row, column = np.floor(places[..., 0] + 0.5).astype(np.int64), np.floor(places[..., 1] + 0.5).astype(np.int64)
        inside = (row >= 0) & (row < other.shape[0]) & (column >= 0) & (column < other.shape[1])
        return row.clip(0, other.shape[0] - 1), column.clip(0, other.shape[1] - 1), inside


def find_spacing(attributes: Attributes, frame: int) -> list[float] | None:
    """Find the spacing of a frame's rows and columns in mm (PS3.3 10.7.1.1); None where it is not told."""
    measures = frame_macro(attributes, frame, "PixelMeasuresSequence")
    spacing = measures.numbers("PixelSpacing") or attributes.numbers("PixelSpacing")
    return list(spacing) if len(spacing) == 2 and min(spacing) > 0 else None


def find_plane(opened: OpenSeries, ref: FrameRef) -> ImagePlane | None:
    """Find the plane of a frame; None where its header does not tell it."""
    table, index = opened.index.frames, opened.index
    number = int(np.flatnonzero((table.instance == ref.instance) & (table.frame == ref.frame))[0])
    position, orientation = table.position[number], table.orientation[number]
    spacing = find_spacing(index.attributes(ref.instance), ref.frame)
    if spacing is None or not (np.isfinite(position).all() and np.isfinite(orientation).all()):
        return None
    if np.linalg.norm(np.cross(orientation[:3], orientation[3:])) < _PARALLEL:
        return None
    pixels, grid = pixels_of(index, ref.instance), index.grid(ref.instance)
    return ImagePlane(
        origin=position,
        across=orientation[:3] * spacing[1],
        down=orientation[3:] * spacing[0],
        shape=(grid.rows, grid.columns) if grid else (pixels.rows, pixels.columns),
    )


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
    heights = (table.position[chosen] - plane.origin) @ plane.normal
    levels = np.unique(np.round(heights, 2))
    gap = float(np.diff(levels).min()) if len(levels) > 1 else _thickness(opened, int(table.instance[chosen[0]]))
    nearest = np.abs(heights).min()
    if nearest > gap / 2 + 0.01:
        return []
    at = chosen[np.abs(np.abs(heights) - nearest) < 0.01]
    return [FrameRef(int(table.instance[number]), int(table.frame[number])) for number in at]


def _thickness(opened: OpenSeries, row: int) -> float:
    """Find the thickness of a series of one plane, in mm; 1 where it is not told."""
    attributes = opened.index.attributes(row)
    measures = frame_macro(attributes, 0, "PixelMeasuresSequence")
    return measures.number("SliceThickness") or attributes.number("SliceThickness") or 1.0
