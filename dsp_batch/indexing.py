"""From the headers of a series to its index: what varies in columns, what does not once, in display order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from dsp_batch.arrays import build_array
from dsp_batch.attributes import Attributes
from dsp_batch.columns import Column, build_columns
from dsp_batch.dicom.dictionary import is_private
from dsp_batch.dicom.grids import Grid, describe_grid
from dsp_batch.dicom.headers import DEFLATED
from dsp_batch.dicom.pixels import describe_pixels
from dsp_batch.dicom.values import DicomJson, HeaderDecoder, decoding_key
from dsp_batch.errors import PixelError, SeriesError
from dsp_batch.frame_table import take_frames
from dsp_batch.index import GRID_COLUMNS, SeriesIndex
from dsp_batch.model import AxisName, FloatArray, FrameTable, InstanceHeader, IntArray, RawElement, SeriesHeaders

_ROWS, _IMAGE_TYPE, _TRANSFER_SYNTAX_UID = 0x00280010, 0x00080008, 0x00020010
_FIXED = {
    0x00200013: ("InstanceNumber", pa.int32()),
    0x00080018: ("SOPInstanceUID", pa.string()),
    0x00201041: ("SliceLocation", pa.float32()),
    0x00280008: ("NumberOfFrames", pa.int32()),
    _TRANSFER_SYNTAX_UID: ("TransferSyntaxUID", pa.string()),
}
"""Elements that are columns even where they do not vary."""


_LARGEST_NUMBER = 0x7FFFFFFFFFFFFFFF
"""Integers beyond 64 bits are damage: an IS has 12 characters (PS3.5 6.2)."""

_MOST_FRAMES_PER_BYTE = 8
"""Frames of one bit. A NumberOfFrames that the object cannot hold is damage, and its frame table would fill memory."""

_DEFLATE_RATIO = 1032
"""Bytes that one deflated byte may stand for, at most."""

Elements = tuple[RawElement | None, ...]
"""One element of every instance, row by row; None where it is absent."""


def build_index(series: SeriesHeaders) -> SeriesIndex:
    """Build the index of a series from its headers.

    Raises:
        SeriesError: No object of the series is an instance.
    """
    headers = series.headers
    if not headers:
        raise _no_instances(series)
    constants, columns = _split_elements(headers)
    unordered = SeriesIndex(
        series_uuid=series.ref.series_uuid,
        root=series.ref.root,
        table=_table([*_place_columns(series), *columns]),
        constants=constants,
        objects={
            "listed": series.listed,
            "instances": len(headers),
            "rejected": dict(Counter(error.reason for error in series.rejected.values())),
        },
        partial=series.partial,
        bodies=series.bodies,
    )
    return _in_display_order(unordered)


def _no_instances(series: SeriesHeaders) -> SeriesError:
    name, error = next(iter(series.rejected.items()), ("", None))
    first = f"; the first, {name}: {error.message}" if error else ""
    return SeriesError(
        f"{series.ref.url} holds no DICOM instance among its {series.listed} objects{first}",
        error.reason if error and error.reason in ("bad-header", "too-large") else "not-dicom",
    )


def _split_elements(headers: tuple[InstanceHeader, ...]) -> tuple[DicomJson, list[Column]]:
    """Tell the elements that are the same in all instances from those that vary."""
    decoders = _build_decoders(headers)
    is_one_encoding = decoders.count(decoders[0]) == len(decoders)
    by_tag = _transpose(headers)
    constants: DicomJson = {}
    columns: list[Column] = []
    for tag, elements in by_tag.items():
        first = elements[0]
        if tag in _FIXED:
            columns.append(_fixed_column(tag, elements, decoders, headers))
        elif is_one_encoding and first and first.value is not None and elements.count(first) == len(elements):
            constants[f"{tag:08X}"] = decoders[0].json(tag, first)
        else:
            varying = build_columns(tag, elements, _decode_once(tag, decoders), _creator(tag, headers))
            common = _find_common(tag, elements, decoders, varying)
            if common is None:
                columns.extend(varying)
            else:
                constants[f"{tag:08X}"] = common
    missing = (tag for tag in _FIXED if tag not in by_tag)
    columns.extend(_fixed_column(tag, (None,) * len(headers), decoders, headers) for tag in missing)
    return constants, columns


def _transpose(headers: tuple[InstanceHeader, ...]) -> dict[int, Elements]:
    """The elements of each tag, tags ascending.

    Headers with the same bytes share their elements, so that comparing the elements of a tag mostly compares identity.
    """
    tags = sorted(set[int]().union(*(header.elements for header in headers)))
    rows = [
        list(elements.values()) if list(elements) == tags else list(map(elements.get, tags))
        for elements in (header.elements for header in headers)
    ]
    return dict(zip(tags, zip(*rows, strict=True), strict=True))


def _build_decoders(headers: tuple[InstanceHeader, ...]) -> list[HeaderDecoder]:
    """A decoder for each instance: the same one for those whose elements decode alike."""
    keys = [decoding_key(header) for header in headers]
    by_key = {key: HeaderDecoder(header) for key, header in dict(zip(keys, headers, strict=True)).items()}
    return [by_key[key] for key in keys]


def _decode_once(tag: int, decoders: list[HeaderDecoder]) -> Callable[[int, RawElement], Any]:
    """Decode the element of a row, each distinct value once."""
    memo: dict[tuple[RawElement, HeaderDecoder], Any] = {}

    def decode(row: int, element: RawElement) -> Any:
        key = (element, decoders[row])
        if key not in memo:
            memo[key] = decoders[row].decode(tag, element)
        return memo[key]

    return decode


def _find_common(
    tag: int, elements: Elements, decoders: list[HeaderDecoder], columns: list[Column]
) -> DicomJson | None:
    """The one value that all instances have, however each encodes it; None where they differ or it was not read."""
    present = [(e, decoder) for e, decoder in zip(elements, decoders, strict=True) if e and e.value is not None]
    values = columns[-1][1].to_pylist()
    if len(present) < len(elements) or any(value != values[0] for value in values):
        return None
    element, decoder = next((pair for pair in present if pair[0].vr != "UN"), present[0])
    return decoder.json(tag, element)


def _creator(tag: int, headers: tuple[InstanceHeader, ...]) -> str | None:
    """The private creator of an element, of the first instance that names one (PS3.5 7.8.1)."""
    if not is_private(tag) or tag & 0xFFFF < 0x1000:
        return None
    block = tag & 0xFFFF0000 | tag >> 8 & 0xFF
    creators = (header.elements.get(block) for header in headers)
    return next((c.value.decode("ascii", "replace").strip(" \0") for c in creators if c and c.value), None)


def _fixed_column(
    tag: int,
    elements: Elements,
    decoders: list[HeaderDecoder],
    headers: tuple[InstanceHeader, ...],
) -> Column:
    name, kind = _FIXED[tag]
    if tag == _TRANSFER_SYNTAX_UID:
        values: list[Any] = [header.transfer_syntax_uid for header in headers]
    else:
        decode = _decode_once(tag, decoders)
        decoded = [decode(row, element) if element else None for row, element in enumerate(elements)]
        values = [each[0] if each else None for each in decoded]
    if name == "NumberOfFrames":
        values = [_frame_count(value, header) for value, header in zip(values, headers, strict=True)]
    elif not pa.types.is_string(kind):
        values = [None if isinstance(value, str) or abs(value or 0) > _LARGEST_NUMBER else value for value in values]
    if pa.types.is_int32(kind) and any(value is not None and abs(value) > 0x7FFFFFFF for value in values):
        kind = pa.int64()
    vr = next((element.vr for element in elements if element is not None), "")
    return pa.field(name, kind, metadata={"tag": f"{tag:08X}", "vr": vr}), build_array(values, kind)


def _frame_count(value: Any, header: InstanceHeader) -> int | None:
    deflated = _DEFLATE_RATIO if header.transfer_syntax_uid == DEFLATED else 1
    if isinstance(value, int) and 0 < value <= _MOST_FRAMES_PER_BYTE * deflated * header.size:
        return value
    return 1 if _ROWS in header.elements else None


def _place_columns(series: SeriesHeaders) -> list[Column]:
    """What is known of each object besides its header."""
    headers = series.headers
    n = len(headers)
    columns: list[tuple[str, pa.DataType, list[Any]]] = [
        ("FileName", pa.string(), [header.name for header in headers]),
        ("SeriesUID", pa.string(), [series.ref.series_uuid] * n),
        ("StorageRoot", pa.string(), [series.ref.root] * n),
        ("ObjectSize", pa.int64(), [header.size for header in headers]),
        ("PixelDataOffset", pa.int64(), [header.pixel_data_offset for header in headers]),
        ("PixelDataLength", pa.int64(), [header.pixel_data_length for header in headers]),
        ("FragmentsOffset", pa.int64(), [header.fragments_offset for header in headers]),
    ]
    grids = [_find_grid(header) for header in headers]
    if any(grids):
        columns += [
            (name, kind, [getattr(grid, attribute) if grid else None for grid in grids])
            for name, attribute, kind in GRID_COLUMNS
        ]
    return [(pa.field(name, kind), build_array(values, kind)) for name, kind, values in columns]


def _find_grid(header: InstanceHeader) -> Grid | None:
    kinds = header.elements.get(_IMAGE_TYPE)
    if kinds is None or not kinds.value or not (b"MOSAIC" in kinds.value or b"VFRAME" in kinds.value):
        return None
    return describe_grid(HeaderDecoder(header).attributes())


def _table(columns: list[Column]) -> pa.Table:
    return pa.Table.from_arrays([array for _, array in columns], schema=pa.schema([field for field, _ in columns]))


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


def _in_display_order(index: SeriesIndex) -> SeriesIndex:
    """Order the instances as their first frames are displayed, and say where each lies."""
    frames, order = index.frames, index.order
    instances = frames.instance[order.permutation]
    rows, first = np.unique(instances, return_index=True)
    ranking = np.argsort(first, kind="stable")
    rows, first = rows[ranking], first[ranking]
    position = [None if np.isnan(each) else each for each in order.primary_position[first].tolist()]
    table = index.table.take(build_array(rows.tolist(), pa.int64()))
    axes = [order.axis[place] for place in first]
    added: list[Column] = [
        (pa.field("Index", pa.uint32()), build_array(range(len(rows)), pa.uint32())),
        (
            pa.field("PrimaryPosition", pa.float32()),
            build_array(position, pa.float32()),
        ),
        (pa.field("PrimaryAxis", pa.string()), build_array(axes, pa.string())),
        *_frame_columns(index, rows, axes),
    ]
    for column in added:
        table = table.append_column(*column)
    rest = [name for name in table.column_names if name not in _LEADING]
    return SeriesIndex(
        series_uuid=index.series_uuid,
        root=index.root,
        table=table.select([*_LEADING, *rest]),
        constants=index.constants,
        objects=index.objects,
        partial=index.partial,
        bodies=index.bodies,
        listed=_reorder_frames(frames, rows),
    )


def _reorder_frames(frames: FrameTable, rows: IntArray) -> FrameTable:
    """The frames of the same instances in another order; listing those of thousands of frames takes seconds."""
    instances = np.argsort(rows)[frames.instance]
    places = np.argsort(instances, kind="stable")
    return replace(take_frames(frames, places), instance=instances[places])


def _frame_columns(index: SeriesIndex, rows: Any, axes: Sequence[AxisName]) -> list[Column]:
    """List columns about the frames of multi-frame instances, where there are any; positions on each row's own axis."""
    counts = [count or 1 for count in index.values("NumberOfFrames")]
    if max(counts) == 1:
        return []
    coordinates = _coordinates_on(index)
    starts = np.searchsorted(index.frames.instance, range(len(index) + 1))  # grid images have entries for their slices
    positions: list[Any] = []
    times: list[Any] = []
    offsets: list[Any] = []
    lengths: list[Any] = []
    for row, axis in zip(rows, axes, strict=True):
        part = slice(starts[row], starts[row + 1])
        many = counts[row] > 1
        positions.append(_known(coordinates[axis][part]) if many and axis != "I" else None)
        times.append(_frame_times(index.attributes(int(row)), counts[row]) if many else None)
        offset, length = index.values("PixelDataOffset")[row], index.values("PixelDataLength")[row]
        step = _frame_bytes(index, int(row)) if many and offset is not None else 0
        whole = 0 < step * counts[row] <= (length or 0)
        offsets.append([offset + step * k for k in range(counts[row])] if whole else None)
        lengths.append([step] * counts[row] if whole else None)
    named = [("FramePosition", pa.float32(), positions), ("FrameTime", pa.float64(), times)]
    named += [("FrameOffset", pa.int64(), offsets), ("FrameLength", pa.int64(), lengths)]
    return [(pa.field(name, pa.list_(kind)), build_array(lists, pa.list_(kind))) for name, kind, lists in named]


def _coordinates_on(index: SeriesIndex) -> dict[AxisName, FloatArray]:
    """Coordinates of all frames on each axis that a stack has, also of those whose own stack has another."""
    order, position = index.order, index.frames.position
    place = np.argsort(order.permutation)
    primary, axis = order.primary_position[place], np.array(order.axis)[place]
    return {name: np.where(axis == name, primary, position[:, "XYZ".index(name)]) for name in set(order.axis) - {"I"}}


def _frame_bytes(index: SeriesIndex, row: int) -> int:
    """Bytes of one native frame; 0 where it is unknown or no whole number (PS3.5 8.1.1)."""
    try:
        bits = describe_pixels(index.attributes(row), index.values("TransferSyntaxUID")[row]).native_frame_bits
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
