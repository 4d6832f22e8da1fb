"""From the headers of a series to its index: what varies in columns, what does not once, in display order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.pixels.format import describe_pixels
from dsp_batch.errors import PixelError
from dsp_batch.index.arrays import build_array
from dsp_batch.index.columns import Column
from dsp_batch.index.header_view import HeaderView, view_headers
from dsp_batch.index.parquet import SeriesIndex
from dsp_batch.index.series_index import SeriesView
from dsp_batch.model.series import AxisName, FloatArray, SeriesHeaders

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


def build_index(series: SeriesHeaders) -> SeriesIndex:
    """Build the index of a series from its headers.

    Raises:
        SeriesError: No object of the series is an instance.
    """
    view = view_headers(series)
    split = view.headers.split_all()
    varying = [column for each in split.values() if not isinstance(each, dict) for column in each]
    columns = {field.name: (field, array) for field, array in [*view.places.values(), *_series_columns(view), *varying]}
    ordered = [columns.pop(name) for name in _LEADING] + [*columns.values(), *_frame_columns(view)]
    return SeriesIndex(
        series_uuid=view.series_uuid,
        root=view.root,
        columns=pa.Table.from_arrays(
            [array for _, array in ordered], schema=pa.schema([field for field, _ in ordered])
        ),
        constants={f"{tag:08X}": each for tag, each in split.items() if isinstance(each, dict)},
        objects=view.objects,
        partial=view.partial,
        bodies=view.bodies,
        listed=view.frames,
        ordered=view.order,
    )


def _series_columns(view: HeaderView) -> list[Column]:
    """The series that each instance belongs to, and its place in that."""
    count = len(view)
    first = _first_places(view)
    position = [None if np.isnan(each) else each for each in view.order.primary_position[first].tolist()]
    columns: list[tuple[str, pa.DataType, Sequence[Any]]] = [
        ("Index", pa.uint32(), range(count)),
        ("SeriesUID", pa.string(), [view.series_uuid] * count),
        ("StorageRoot", pa.string(), [view.root] * count),
        ("PrimaryPosition", pa.float32(), position),
        ("PrimaryAxis", pa.string(), [view.order.axis[place] for place in first]),
    ]
    return [(pa.field(name, kind), build_array(values, kind)) for name, kind, values in columns]


def _first_places(view: HeaderView) -> list[int]:
    """Where the first frame of each instance is displayed."""
    places: list[int] = np.unique(view.frames.instance[view.order.permutation], return_index=True)[1].tolist()
    return places


def _frame_columns(view: HeaderView) -> list[Column]:
    """List columns about the frames of multi-frame instances, where there are any; positions on each row's own axis."""
    counts = [count or 1 for count in view.values("NumberOfFrames")]
    if max(counts) == 1:
        return []
    coordinates = _coordinates_on(view)
    starts = np.searchsorted(view.frames.instance, range(len(view) + 1))  # grid images have entries for their slices
    positions: list[Any] = []
    times: list[Any] = []
    offsets: list[Any] = []
    lengths: list[Any] = []
    for row, place in enumerate(_first_places(view)):
        axis = view.order.axis[place]
        part = slice(starts[row], starts[row + 1])
        many = counts[row] > 1
        positions.append(_known(coordinates[axis][part]) if many and axis != "I" else None)
        times.append(_frame_times(view.attributes(row), counts[row]) if many else None)
        offset, length = view.values("PixelDataOffset")[row], view.values("PixelDataLength")[row]
        step = _frame_bytes(view, row) if many and offset is not None else 0
        whole = 0 < step * counts[row] <= (length or 0)
        offsets.append([offset + step * k for k in range(counts[row])] if whole else None)
        lengths.append([step] * counts[row] if whole else None)
    named = [("FramePosition", pa.float32(), positions), ("FrameTime", pa.float64(), times)]
    named += [("FrameOffset", pa.int64(), offsets), ("FrameLength", pa.int64(), lengths)]
    return [(pa.field(name, pa.list_(kind)), build_array(lists, pa.list_(kind))) for name, kind, lists in named]


def _coordinates_on(view: SeriesView) -> dict[AxisName, FloatArray]:
    """Coordinates of all frames on each axis that a stack has, also of those whose own stack has another."""
    order, position = view.order, view.frames.position
    place = np.argsort(order.permutation)
    primary, axis = order.primary_position[place], np.array(order.axis)[place]
    return {name: np.where(axis == name, primary, position[:, "XYZ".index(name)]) for name in set(order.axis) - {"I"}}


def _frame_bytes(view: SeriesView, row: int) -> int:
    """Bytes of one native frame; 0 where it is unknown or no whole number (PS3.5 8.1.1)."""
    try:
        bits = describe_pixels(view.attributes(row), view.values("TransferSyntaxUID")[row]).native_frame_bits
    except PixelError:
        return 0
    return 0 if bits % 8 else bits // 8


def _known(values: Any) -> list[float] | None:
    return None if np.isnan(values).any() else [float(value) for value in values]


def _frame_times(attributes: Attributes, count: int) -> list[float] | None:
    """Milliseconds from the first frame to each (PS3.3 C.7.6.5, Cine); None where the header does not tell."""
    steps = attributes.numbers("FrameTimeVector")
    if len(steps) == count:
        return [float(time) for time in np.cumsum(steps) - steps[0]]
    step = attributes.number("FrameTime")
    return [step * frame for frame in range(count)] if step else None
