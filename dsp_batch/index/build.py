"""Build the index of a series from its headers, in display order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from dsp_batch.dicom.grids import Grid, describe_grid, is_called_grid
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.headers.values import HeaderDecoder
from dsp_batch.dicom.pixels.format import describe_pixels
from dsp_batch.errors import PixelError, SeriesError
from dsp_batch.index.arrays import build_array
from dsp_batch.index.columns import Column
from dsp_batch.index.elements import MOST_FRAMES, split_elements
from dsp_batch.index.frames import take_frames
from dsp_batch.index.series_index import GRID_COLUMNS, SeriesIndex
from dsp_batch.model.deadline import check_time
from dsp_batch.model.notes import count_notes, gather_notes
from dsp_batch.model.object_names import encode_name
from dsp_batch.model.series import AxisName, FloatArray, InstanceHeader, SeriesHeaders

_IMAGE_TYPE, _SERIES_INSTANCE_UID = 0x00080008, 0x0020000E

_OBJECT_COLUMNS = {
    "ObjectSize": ("size", pa.int64()),
    "PixelDataOffset": ("pixel_data_offset", pa.int64()),
    "PixelDataLength": ("pixel_data_length", pa.int64()),
    "FragmentsOffset": ("fragments_offset", pa.int64()),
}
"""Columns about each object besides its elements: name → field of `InstanceHeader`, type."""

_LEADING = (
    "Index",
    "FileName",
    "SeriesUID",
    "StorageRoot",
    "PrimaryPosition",
    "PrimaryAxis",
    "InstanceNumber",
    "SOPInstanceUID",
    "SliceLocation",
    "TransferSyntaxUID",
    "NumberOfFrames",
    "ObjectSize",
    "PixelDataOffset",
    "PixelDataLength",
    "FragmentsOffset",
)
"""The columns that every index begins with."""


def build_index(series: SeriesHeaders) -> SeriesIndex:
    """Build the index of a series from its headers. Its instances have the display order of their first frames.

    Raises:
        SeriesError: No object of the series is an instance, or they have too many frames.
    """
    if not series.headers:
        raise _no_instances(series)
    kept, notes = _keep_commonest(series)
    table = _tabulate_headers(kept, notes)
    frames = sum(count or 1 for count in table.values("NumberOfFrames"))
    if frames > MOST_FRAMES:
        raise SeriesError(f"{series.ref.url} has {frames} frames, more than {MOST_FRAMES}", "too-large")
    index = _sort_rows(table)
    known = {field.name: (field, index.table.column(field.name)) for field in index.table.schema}
    known |= {field.name: (field, array) for field, array in _series_columns(index)}
    leading = [known.pop(name) for name in _LEADING]
    return replace(index, columns=_build_table([*leading, *known.values(), *_frame_columns(index)]))


def _tabulate_headers(series: SeriesHeaders, notes: Sequence[str]) -> SeriesIndex:
    """Build an index whose rows are in the order of the headers."""
    split, misread = split_elements(series.headers)
    varying = [column for each in split.values() if not isinstance(each, dict) for column in each]
    columns = {field.name: (field, array) for field, array in [*_object_columns(series.headers), *varying]}
    return SeriesIndex(
        series_uuid=series.ref.series_uuid,
        root=series.ref.root,
        folder=series.ref.folder,
        columns=_build_table(list(columns.values())),
        constants={f"{tag:08X}": each for tag, each in split.items() if isinstance(each, dict)},
        objects={
            "listed": series.listed,
            "instances": len(series.headers),
            "rejected": dict(Counter(error.reason for error in series.rejected.values())),
        }
        | ({"digest": series.digest} if series.digest else {}),
        partial=series.partial,
        notes=gather_notes((*notes, *_note_rejected(series), *_note_headers(series.headers), *misread)),
        bodies=series.bodies,
    )


def _note_rejected(series: SeriesHeaders) -> list[str]:
    """Say how many objects are no instances, and why the first of them is none."""
    if not series.rejected:
        return []
    name, error = next(iter(series.rejected.items()))
    count = len(series.rejected)
    what = "1 object is no instance:" if count == 1 else f"{count} objects are no instances; the first,"
    return [f"{what} {name}: {error.message}"]


def _keep_commonest(series: SeriesHeaders) -> tuple[SeriesHeaders, list[str]]:
    """Keep the instances of one series where a folder holds several: those of the commonest SeriesInstanceUID.

    Of equally common ones the lowest counts. An instance without SeriesInstanceUID belongs to the series of its folder.

    Returns:
        What was kept, and a note on what was left out.
    """
    elements = [header.elements.get(_SERIES_INSTANCE_UID) for header in series.headers]
    if elements.count(elements[0]) == len(elements):
        return series, []
    uids = [element.text if element else "" for element in elements]
    counts = Counter(uid for uid in uids if uid)
    if len(counts) < 2:
        return series, []
    kept = min(counts, key=lambda uid: (-counts[uid], uid))
    headers = tuple(header for header, uid in zip(series.headers, uids, strict=True) if uid in ("", kept))
    return replace(series, headers=headers), [_note_other_series(counts.total() - counts[kept], len(counts) - 1)]


def _note_other_series(count: int, uids: int) -> str:
    others = "another SeriesInstanceUID" if uids == 1 else f"{uids} other SeriesInstanceUIDs"
    left_out = "1 instance is" if count == 1 else f"{count} instances are"
    return f"{left_out} left out: of {others} in the same folder"


def _note_headers(headers: Sequence[InstanceHeader]) -> tuple[str, ...]:
    return count_notes((header.notes for header in headers), "objects")


def _build_table(columns: Sequence[Column]) -> pa.Table:
    return pa.Table.from_arrays([array for _, array in columns], schema=pa.schema([field for field, _ in columns]))


def _object_columns(headers: Sequence[InstanceHeader]) -> list[Column]:
    """Build the columns about each object besides its elements."""
    kept = [(name, kind, [getattr(each, key) for each in headers]) for name, (key, kind) in _OBJECT_COLUMNS.items()]
    kept.append(("FileName", pa.string(), [encode_name(each.name) for each in headers]))
    grids = [_find_grid(header) for header in headers]
    if any(grids):
        kept += [
            (name, kind, [getattr(grid, key) if grid else None for grid in grids]) for name, key, kind in GRID_COLUMNS
        ]
    return [(pa.field(name, kind), build_array(values, kind)) for name, kind, values in kept]


def _find_grid(header: InstanceHeader) -> Grid | None:
    if not is_called_grid(header.elements.get(_IMAGE_TYPE)):
        return None
    return describe_grid(HeaderDecoder(header).attributes())


def _sort_rows(index: SeriesIndex) -> SeriesIndex:
    """Put the rows into display order, and keep the order of the frames: computing it again may take seconds."""
    frames, order = index.frames, index.order
    rows, first = np.unique(frames.instance[order.permutation], return_index=True)
    rows = rows[np.argsort(first, kind="stable")]
    instances = np.argsort(rows)[frames.instance]
    entries = np.argsort(instances, kind="stable")
    return replace(
        index,
        columns=index.table.take(build_array(rows.tolist(), pa.int64())),
        known_frames=replace(take_frames(frames, entries), instance=instances[entries]),
        known_order=replace(order, permutation=np.argsort(entries)[order.permutation]),
    )


def _no_instances(series: SeriesHeaders) -> SeriesError:
    name, error = next(iter(series.rejected.items()), ("", None))
    among, which = (
        (f" among its {series.listed} objects", "the first") if series.listed > 1 else ("", "its only object")
    )
    why = f"; {which}, {name}: {error.message}" if error else ""
    return SeriesError(
        f"{series.ref.url} holds no DICOM instance{among}{why}",
        error.reason if error and error.reason in ("bad-header", "too-large") else "not-dicom",
    )


def _series_columns(index: SeriesIndex) -> list[Column]:
    """Build the columns about the series that each instance belongs to, and its position in the series."""
    count = len(index)
    first = _first_ranks(index)
    position = [None if np.isnan(each) else each for each in index.order.primary_position[first].tolist()]
    columns: list[tuple[str, pa.DataType, Sequence[Any]]] = [
        ("Index", pa.uint32(), range(count)),
        ("SeriesUID", pa.string(), [index.series_uuid] * count),
        ("StorageRoot", pa.string(), [index.root] * count),
        ("PrimaryPosition", pa.float32(), position),
        ("PrimaryAxis", pa.string(), [index.order.axis[rank] for rank in first]),
    ]
    return [(pa.field(name, kind), build_array(values, kind)) for name, kind, values in columns]


def _first_ranks(index: SeriesIndex) -> list[int]:
    """Find the rank in display order of the first frame of each instance."""
    ranks: list[int] = np.unique(index.frames.instance[index.order.permutation], return_index=True)[1].tolist()
    return ranks


def _frame_columns(index: SeriesIndex) -> list[Column]:
    """Build list columns about the frames of multi-frame instances, if any. Positions are on the axis of each row."""
    counts = [count or 1 for count in index.values("NumberOfFrames")]
    if max(counts) == 1:
        return []
    coordinates = _coordinates_on(index)
    starts = np.searchsorted(index.frames.instance, range(len(index) + 1))  # grid images have entries for their slices
    positions: list[Any] = []
    times: list[Any] = []
    offsets: list[Any] = []
    lengths: list[Any] = []
    for row, rank in enumerate(_first_ranks(index)):
        check_time()
        axis = index.order.axis[rank]
        part = slice(starts[row], starts[row + 1])
        many = counts[row] > 1
        positions.append(_known(coordinates[axis][part]) if many and axis != "I" else None)
        times.append(_frame_times(index.attributes(row), counts[row]) if many else None)
        offset, length = index.values("PixelDataOffset")[row], index.values("PixelDataLength")[row]
        step = _frame_bytes(index, row) if many and offset is not None else 0
        whole = 0 < step * counts[row] <= (length or 0)
        offsets.append([offset + step * k for k in range(counts[row])] if whole else None)
        lengths.append([step] * counts[row] if whole else None)
    named = [("FramePosition", pa.float32(), positions), ("FrameTime", pa.float64(), times)]
    named += [("FrameOffset", pa.int64(), offsets), ("FrameLength", pa.int64(), lengths)]
    return [(pa.field(name, pa.list_(kind)), build_array(lists, pa.list_(kind))) for name, kind, lists in named]


def _coordinates_on(index: SeriesIndex) -> dict[AxisName, FloatArray]:
    """Compute the coordinates of all frames on each axis that any stack has."""
    order, position = index.order, index.frames.position
    rank = np.argsort(order.permutation)
    primary, axis = order.primary_position[rank], np.array(order.axis)[rank]
    return {name: np.where(axis == name, primary, position[:, "XYZ".index(name)]) for name in set(order.axis) - {"I"}}


def _frame_bytes(index: SeriesIndex, row: int) -> int:
    """Compute the bytes of one native frame; 0 where they are unknown or no whole number (PS3.5 8.1.1)."""
    try:
        bits = describe_pixels(index.attributes(row), index.values("TransferSyntaxUID")[row]).native_frame_bits
    except PixelError:
        return 0
    return 0 if bits % 8 else bits // 8


def _known(values: Any) -> list[float] | None:
    return None if np.isnan(values).any() else [float(value) for value in values]


def _frame_times(attributes: Attributes, count: int) -> list[float] | None:
    """Read the milliseconds from the first frame to each (PS3.3 C.7.6.5, Cine); None where the header does not tell."""
    steps = attributes.numbers("FrameTimeVector")
    if len(steps) == count:
        return [float(time) for time in np.cumsum(steps) - steps[0]]
    step = attributes.number("FrameTime")
    return [step * frame for frame in range(count)] if step else None
