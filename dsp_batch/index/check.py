"""Check an index that was read from a file: whoever may write the file decides what is in it."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

from dsp_batch.dicom.headers.values import element_value
from dsp_batch.index.content import CONTENT, CONTENT_TYPE
from dsp_batch.index.elements import MOST_FRAMES, most_frames
from dsp_batch.index.series_index import GRID_COLUMNS, SeriesIndex
from dsp_batch.model.object_names import is_object_name

_TAG = re.compile(r"[0-9A-F]{8}")

_LARGEST_OBJECT = 1 << 50
"""Bytes of an object. S3 takes objects of 50 TB."""

_LONGEST_SIDE = 1 << 16
"""Slices of a grid image below each other and side by side: Rows and Columns have 16 bits."""

_COLUMNS = {
    **dict.fromkeys(("FileName", "SeriesUID", "StorageRoot", "PrimaryAxis"), "text"),
    **dict.fromkeys(("SOPInstanceUID", "TransferSyntaxUID"), "text"),
    **dict.fromkeys(("Index", "InstanceNumber", "NumberOfFrames"), "integer"),
    **dict.fromkeys(("ObjectSize", "PixelDataOffset", "PixelDataLength", "FragmentsOffset"), "integer"),
    **dict.fromkeys(("PrimaryPosition", "SliceLocation"), "float"),
}
"""The columns that every index has, and what they hold."""


def check_index(index: SeriesIndex) -> None:
    """Make sure that an index is one, before a byte of its series is read by it.

    Sequences of single instances are not looked into: what they hold is checked when it is asked for.

    Raises:
        ValueError: It names objects outside of the folder of its series, offsets that no object has, more frames than
            its objects can hold, or columns and constants of other types than an index has.
    """
    _check_description(index)
    _check_types(index)
    _check_objects(index)
    _check_names(index)
    _check_frames(index)
    _check_grids(index)


def _check_description(index: SeriesIndex) -> None:
    texts: list[Any] = [index.series_uuid, index.root, *index.notes]
    others = (index.partial, bool), (index.objects, dict), (index.constants, dict)
    if not all(isinstance(value, kind) for value, kind in (*((text, str) for text in texts), *others)):
        raise ValueError("its description has values of other types")
    for tag, element in index.constants.items():
        if not _TAG.fullmatch(tag):
            raise ValueError(f"{tag!r:.20} is no tag")
        element_value(element)


def _check_types(index: SeriesIndex) -> None:
    schema = index.columns.schema
    if len(set(schema.names)) < len(schema.names):
        raise ValueError("two of its columns have one name")
    grid = {name: "list" if pa.types.is_list(kind) else "integer" for name, _, kind in GRID_COLUMNS}
    wanted = _COLUMNS | (grid if "GridSlices" in schema.names else {})
    for name, kind in wanted.items():
        if name not in schema.names or _name_kind(schema.field(name).type) != kind:
            raise ValueError(f"its column {name} is missing or of another type")
    for field in schema:
        if field.name == CONTENT and field.type == CONTENT_TYPE:
            continue
        is_sequence = (field.metadata or {}).get(b"vr") == b"SQ"
        if _name_kind(field.type) is None or (is_sequence and _name_kind(field.type) != "text"):
            raise ValueError(f"its column {field.name!r:.80} is of another type")


def _name_kind(kind: pa.DataType) -> str | None:
    """Name the kind of values that a column has; None for one that no index has."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return "list" if _name_kind(kind.value_type) in ("text", "integer", "float") else None
    if pa.types.is_integer(kind):
        return "integer"
    return "float" if pa.types.is_floating(kind) else None


def _check_objects(index: SeriesIndex) -> None:
    if not 0 < len(index) <= MOST_FRAMES:
        raise ValueError(f"it has {len(index)} rows")
    for column in ("FileName", "TransferSyntaxUID"):
        if None in index.values(column):
            raise ValueError(f"an object has no {column}")
    sizes = index.values("ObjectSize")
    if not all(size is not None and 0 <= size <= _LARGEST_OBJECT for size in sizes):
        raise ValueError("an object has no size, or one that no object has")
    for column in ("PixelDataOffset", "FragmentsOffset"):
        if not all(at is None or 0 <= at <= size for at, size in zip(index.values(column), sizes, strict=True)):
            raise ValueError(f"a {column} lies outside of its object")
    if not all(length is None or 0 <= length <= _LARGEST_OBJECT for length in index.values("PixelDataLength")):
        raise ValueError("a PixelDataLength is that of no object")


def _check_names(index: SeriesIndex) -> None:
    above = f"{index.folder}/" if index.folder else ""
    for name in index.object_names:
        if not name.startswith(above) or not is_object_name(name):
            raise ValueError(f"{name!r:.80} is no object in the folder of the series")
    # What is read of an object is kept by its name: two rows of one name would get each other's frames.
    if len(set(index.object_names)) < len(index):
        raise ValueError("two of its rows name one object")


def _check_frames(index: SeriesIndex) -> None:
    frames = index.values("NumberOfFrames")
    for count, size, syntax in zip(frames, index.values("ObjectSize"), index.values("TransferSyntaxUID"), strict=True):
        if count is not None and not 0 < count <= most_frames(size, syntax):
            raise ValueError(f"an object of {size} bytes cannot hold {count} frames")
    if sum(count or 1 for count in frames) > MOST_FRAMES:
        raise ValueError(f"it has more than {MOST_FRAMES} frames")


def _check_grids(index: SeriesIndex) -> None:
    if index.find_column("GridSlices") is None:
        return
    for row, told in enumerate(zip(*(index.values(name) for name, _, _ in GRID_COLUMNS), strict=True)):
        slices, rows, columns, origin, step = told
        if slices is None:
            continue
        header = index.attributes(row)
        height, width = header.integer("Rows") or _LONGEST_SIDE, header.integer("Columns") or _LONGEST_SIDE
        is_grid = rows is not None and columns is not None and 0 < rows <= height and 0 < columns <= width
        if not (is_grid and 0 < slices <= rows * columns and slices <= MOST_FRAMES):
            raise ValueError("a grid image has no such layout")
        if any(place is None or len(place) not in (0, 3) or None in place for place in (origin, step)):
            raise ValueError("a grid image has no such position")
