"""List the frames of a series from its headers, with the position and time of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from types import NoneType
from typing import Any, Protocol

import numpy as np

from dsp_batch.dicom.grids import Grid
from dsp_batch.dicom.headers.attributes import EMPTY, Attributes
from dsp_batch.index.detectors import place_by_detectors
from dsp_batch.model.deadline import check_time
from dsp_batch.model.series import FloatArray, FrameTable, IntArray

_TIMES = (
    "TemporalPositionIndex",
    "TriggerTime",
    "AcquisitionDateTime",
    "AcquisitionTime",
    "ContentTime",
    "InstanceCreationTime",
)
"""The columns of `FrameTable.times`."""

_PLACING_SEQUENCES = (
    "PerFrameFunctionalGroupsSequence",
    "SharedFunctionalGroupsSequence",
    "DetectorInformationSequence",
)
"""Where objects of some kinds tell how they lie, also those of one frame."""


class HeaderRows(Protocol):
    """The part of an index that listing its frames needs. Row i is about the i-th instance."""

    def has(self, name: str) -> bool:
        """Tell whether any instance has an element."""

    def values(self, name: str) -> list[Any]:
        """List the values of one element, row by row."""

    def attributes(self, row: int) -> Attributes:
        """Read the header of one instance."""

    def grid(self, row: int) -> Grid | None:
        """Describe the slices of a grid image; None for any other instance."""


def list_frames(index: HeaderRows) -> FrameTable:
    """List every frame of a series, instance by instance in row order.

    Instances without pixels count as one frame: they are ordered like the others. Each slice of a grid image counts.
    """
    frames, slices = index.values("NumberOfFrames"), index.values("GridSlices")
    counts = np.asarray([max(count or 1, grid or 1) for count, grid in zip(frames, slices, strict=True)], np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rows = np.repeat(np.arange(len(counts)), counts)
    position = _vectors(index.values("ImagePositionPatient"), 3)[rows]
    orientation = _vectors(index.values("ImageOrientationPatient"), 6)[rows]
    times = np.stack([_times(name, index.values(name)) for name in _TIMES], axis=1)[rows]
    grouped = any(map(index.has, _PLACING_SEQUENCES))
    for row in np.flatnonzero((counts > 1) | grouped):
        check_time()
        part = slice(starts[row], starts[row] + counts[row])
        grid = index.grid(int(row))
        if grid is not None:
            position[part] = _locate_slices(grid)
            continue
        attributes = index.attributes(int(row))
        if not place_by_detectors(attributes, position[part], orientation[part]):
            _fill_in_frames(attributes, position[part], orientation[part], times[part])
    uids, names = index.values("SOPInstanceUID"), index.values("FileName")
    return FrameTable(
        instance=rows,
        frame=np.arange(len(rows)) - starts[rows],
        position=position,
        orientation=orientation,
        slice_location=_numbers(index.values("SliceLocation"))[rows],
        instance_number=_numbers(index.values("InstanceNumber"))[rows],
        times=times,
        sop_instance_uid=tuple(uids[row] or "" for row in rows.tolist()),
        name=tuple(names[row] for row in rows.tolist()),
    )


def take_frames(table: FrameTable, entries: IntArray) -> FrameTable:
    """Take some entries of a frame table, in the order given."""
    return FrameTable(
        instance=table.instance[entries],
        frame=table.frame[entries],
        position=table.position[entries],
        orientation=table.orientation[entries],
        slice_location=table.slice_location[entries],
        instance_number=table.instance_number[entries],
        times=table.times[entries],
        sop_instance_uid=tuple(table.sop_instance_uid[entry] for entry in entries),
        name=tuple(table.name[entry] for entry in entries),
    )


def _locate_slices(grid: Grid) -> FloatArray:
    """Compute the positions of the slices of a grid image; NaN where it does not tell them."""
    if not grid.origin or not grid.step:
        return np.full((grid.slices, 3), np.nan)
    positions: FloatArray = np.asarray(grid.origin) + np.outer(np.arange(grid.slices), grid.step)
    return positions


def _fill_in_frames(attributes: Attributes, position: FloatArray, orientation: FloatArray, times: FloatArray) -> None:
    """Fill in positions, orientations and times of a multi-frame instance; the arrays are views of the new table."""
    per_frame = attributes.items("PerFrameFunctionalGroupsSequence")
    shared = attributes.item("SharedFunctionalGroupsSequence")
    offsets = np.asarray(attributes.numbers("GridFrameOffsetVector"))
    if not per_frame and len(offsets) == len(position):
        position += _grid_steps(offsets, position[0], orientation[0])
    for frame in range(len(position)):
        check_time()
        groups = per_frame[frame] if frame < len(per_frame) else EMPTY
        plane_position = _macro(groups, shared, "PlanePositionSequence").numbers("ImagePositionPatient")
        plane_orientation = _macro(groups, shared, "PlaneOrientationSequence").numbers("ImageOrientationPatient")
        if len(plane_position) == 3:
            position[frame] = plane_position
        if len(plane_orientation) == 6:
            orientation[frame] = plane_orientation
        content = _macro(groups, shared, "FrameContentSequence")
        cardiac = _macro(groups, shared, "CardiacSynchronizationSequence")
        for column, value in (
            (0, content.number("TemporalPositionIndex")),
            (1, cardiac.number("NominalCardiacTriggerDelayTime")),
            (2, _seconds("AcquisitionDateTime", content.text("FrameAcquisitionDateTime"))),
        ):
            if value is not None:
                times[frame, column] = value


def _macro(groups: Attributes, shared: Attributes, sequence: str) -> Attributes:
    items = groups.items(sequence)
    return items[0] if items else shared.item(sequence)


def _grid_steps(offsets: FloatArray, origin: FloatArray, orientation: FloatArray) -> FloatArray:
    """Compute the vectors from the first plane of a dose grid to each plane (PS3.3 C.8.8.3.2)."""
    normal = np.cross(orientation[:3], orientation[3:])
    if offsets[0] != 0:  # absolute patient coordinates along z
        return np.outer(offsets - origin[2], (0.0, 0.0, 1.0))
    return np.outer(offsets, normal)


def _vectors(values: Sequence[Any], length: int) -> FloatArray:
    vectors = np.full((len(values), length), np.nan)
    whole = [row for row, value in enumerate(values) if isinstance(value, list | tuple) and len(value) == length]
    vectors[whole] = _numbers([*chain.from_iterable(values[row] for row in whole)]).reshape(-1, length)
    return vectors


def _numbers(values: Sequence[Any]) -> FloatArray:
    if {*map(type, values)} <= {float, NoneType}:  # as columns of numbers are: all of them at once
        return np.asarray(values, float)
    return np.asarray([_number(_first(value)) for value in values], float)


def _first(value: Any) -> Any:
    return next(iter(value), None) if isinstance(value, list) else value


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _times(name: str, values: Sequence[Any]) -> FloatArray:
    return np.asarray([None if value is None else _seconds(name, _first(value)) for value in values], float)


@lru_cache(maxsize=8192)
def _seconds(name: str, value: Any) -> float | None:
    """Convert a DT or TM value to seconds, and any other value to a number (PS3.5 6.2)."""
    if value is None or value == "" or isinstance(value, list):
        return None
    if not name.endswith("Time") or name == "TriggerTime":
        number = _number(value)
        return None if math.isnan(number) else number
    text = str(value).replace(":", "")
    whole, _, fraction = text.partition("+")[0].partition("-")[0].partition(".")
    try:
        if name == "AcquisitionDateTime":
            padded = whole + "00000101000000"[len(whole) :]
            instant = datetime.strptime(padded, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()
        else:
            padded = whole.ljust(6, "0")
            instant = int(padded[:2]) * 3600.0 + int(padded[2:4]) * 60 + int(padded[4:6])
        return instant + (float(f"0.{fraction}") if fraction else 0.0)
    except ValueError:
        return None
