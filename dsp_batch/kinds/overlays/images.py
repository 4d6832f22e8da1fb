"""The image series that are at hand for an object, and which of their frames it speaks of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dsp_batch.core.planes import ImagePlane
from dsp_batch.dicom.headers.attributes import Attributes, frame_macro
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.kind import PLAIN
from dsp_batch.kinds.registry import drawable_rows, find_kind
from dsp_batch.model.series import FloatArray, FrameRef, IntArray

_FLAT = 1e-3
"""Planes whose directions differ by less than this are parallel."""

_THINNEST_MM = 0.02
"""Distance within which a contour lies in a plane, at least: coordinates are written with few digits."""

_LONE_SLICE_MM = 1.0
"""Thickness of a slice that has no neighbour and does not tell its own."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSeries:
    """A series of images, and where its frames lie."""

    number: int
    """As in `FrameRef.series`: 0 for the object's own series, k for the k-th that it draws upon."""

    index: SeriesIndex

    @cached_property
    def uid(self) -> str:
        """Return its SeriesInstanceUID (0020,000E)."""
        return self.index.texts("SeriesInstanceUID")[0]

    @cached_property
    def rows_by_uid(self) -> dict[str, int]:
        """Return the row of the index of each SOPInstanceUID, for objects with pixels."""
        uids = self.index.texts("SOPInstanceUID")
        return {uids[row]: row for row in drawable_rows(self.index)}

    def find_frame(self, sop_instance_uid: str, frame: int = 0) -> FrameRef | None:
        """Find a frame of an instance, counted from 0; None where the series has no such frame with pixels."""
        row = self.rows_by_uid.get(sop_instance_uid)
        if row is None or not 0 <= frame < self.count_frames(row):
            return None
        return FrameRef(row, frame, self.number)

    def may_show(self, header: Attributes, frame_of_reference: str = "") -> bool:
        """Tell whether the object may be drawn over the series: of the same patient, in one frame of reference.

        What either of them leaves open is no contradiction.
        """
        patients = header.text("PatientID"), self.index.texts("PatientID")[0]
        if all(patients) and patients[0] != patients[1]:
            return False
        own = {each for each in self.index.texts("FrameOfReferenceUID") if each}
        return not own or not frame_of_reference or frame_of_reference in own

    def is_in(self, frame_of_reference: str) -> bool:
        """Tell whether the series lies in a frame of reference, and both say so."""
        return bool(frame_of_reference) and frame_of_reference in self.index.texts("FrameOfReferenceUID")

    def count_frames(self, row: int) -> int:
        """Count the frames of an instance."""
        return max(self.index.values("NumberOfFrames")[row] or 1, 1)

    def plane(self, ref: FrameRef) -> ImagePlane | None:
        """Return the plane of a frame; None where its header does not tell it."""
        return self._planes.get((ref.instance, ref.frame))

    @cached_property
    def _planes(self) -> dict[tuple[int, int], ImagePlane]:
        table, found = self.index.frames, {}
        shown = set(self.rows_by_uid.values())
        known = np.isfinite(table.position).all(1) & np.isfinite(table.orientation).all(1)
        for entry in np.flatnonzero(known).tolist():
            row, frame = int(table.instance[entry]), int(table.frame[entry])
            spacing = self._spacing(row, frame) if row in shown else ()
            shape = self.index.values("Rows")[row], self.index.values("Columns")[row]
            if len(spacing) == 2 and min(spacing) > 0 and all(shape):
                found[row, frame] = ImagePlane(
                    position=table.position[entry],
                    along_row=table.orientation[entry, :3],
                    along_column=table.orientation[entry, 3:],
                    spacing=(spacing[0], spacing[1]),
                    shape=shape,
                )
        return found

    def _spacing(self, row: int, frame: int) -> tuple[float, ...]:
        plain = self.index.values("PixelSpacing")[row]
        if isinstance(plain, list):
            return tuple(float(each) for each in plain if each is not None)
        header = self.index.attributes(row)
        return frame_macro(header, frame, "PixelMeasuresSequence").numbers("PixelSpacing")

    @cached_property
    def stacks(self) -> tuple[PlaneStack, ...]:
        """Return the stacks of parallel planes of the series, without objects that are drawn over images themselves."""
        groups: dict[tuple[float, ...], list[tuple[FrameRef, ImagePlane]]] = {}
        classes = self.index.texts("SOPClassUID")
        for (row, frame), plane in self._planes.items():
            if find_kind(classes[row]) is not PLAIN:
                continue
            key = tuple(np.round(plane.normal / (2 * _FLAT)).tolist())
            groups.setdefault(key, []).append((FrameRef(row, frame, self.number), plane))
        return tuple(self._build_stack(planes) for planes in groups.values())

    def _build_stack(self, planes: Sequence[tuple[FrameRef, ImagePlane]]) -> PlaneStack:
        normal = planes[0][1].normal
        offsets = np.array([float(plane.position @ normal) for _, plane in planes])
        order = np.argsort(offsets, kind="stable")
        thickness = frame_macro(self.index.attributes(planes[0][0].instance), 0, "PixelMeasuresSequence")
        told = thickness.number("SliceThickness") or self.index.attributes(planes[0][0].instance).number(
            "SliceThickness"
        )
        gaps = np.diff(np.unique(offsets.round(3)))
        spacing = float(np.median(gaps)) if len(gaps) else told or _LONE_SLICE_MM
        if told and told > 0:
            spacing = min(spacing, told) if len(gaps) else told
        return PlaneStack(
            frames=tuple(planes[entry][0] for entry in order.tolist()),
            offsets=offsets[order],
            normal=normal,
            tolerance_mm=max(spacing / 2, _THINNEST_MM),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlaneStack:
    """Frames whose planes are parallel, ordered along their normal."""

    frames: tuple[FrameRef, ...]
    offsets: FloatArray
    """Distance of each plane from the origin along the normal, in mm, rising."""

    normal: FloatArray
    tolerance_mm: float
    """Half the distance of two planes: what lies within it is in a plane."""

    def find_nearest(self, offsets: FloatArray) -> IntArray:
        """Find the number of the frame nearest to each of some distances along the normal; -1 where none is near."""
        after = np.searchsorted(self.offsets, offsets).clip(0, len(self.offsets) - 1)
        before = (after - 1).clip(0)
        is_before = np.abs(self.offsets[before] - offsets) <= np.abs(self.offsets[after] - offsets)
        nearest = np.where(is_before, before, after)
        is_near = np.abs(self.offsets[nearest] - offsets) <= self.tolerance_mm + 1e-6
        return np.where(is_near, nearest, -1)


def list_images(own: SeriesIndex, references: Sequence[SeriesIndex]) -> list[ImageSeries]:
    """List the series of images that are at hand for an object: its own, and those that it draws upon."""
    every = [ImageSeries(number=number, index=index) for number, index in enumerate((own, *references))]
    return [each for each in every if each.rows_by_uid]


def find_frame(images: Sequence[ImageSeries], sop_instance_uid: str, frame: int = 0) -> FrameRef | None:
    """Find a frame in any of some series."""
    found = (each.find_frame(sop_instance_uid, frame) for each in images)
    return next((ref for ref in found if ref is not None), None)


def iterate_reference_items(header: Attributes, *keywords: str) -> Iterator[Attributes]:
    """Iterate over the items of nested sequences: the items of the last of these within those of the others."""
    items = [header]
    for keyword in keywords:
        items = [below for item in items for below in item.items(keyword)]
    yield from items
