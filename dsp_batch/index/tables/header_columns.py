"""The columns of a header database: what they are called, their types, and their values in the index of a series."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from dsp_batch.dicom.headers.dictionary import has_several_values, is_private, tag_of, vr_of
from dsp_batch.dicom.headers.elements import BINARY_VRS
from dsp_batch.dicom.headers.values import FLOAT_VRS, INTEGER_VRS
from dsp_batch.errors import OptionsError
from dsp_batch.index.columns import ELEMENT_COLUMNS, suggest_name
from dsp_batch.index.series_index import SeriesIndex

Per = Literal["instance", "series"]

COMMON_KEYWORDS = (
    *("SOPInstanceUID", "SOPClassUID", "TransferSyntaxUID", "SeriesInstanceUID", "StudyInstanceUID"),
    *("FrameOfReferenceUID", "PatientID", "PatientSex", "PatientAge", "StudyDate", "StudyTime", "StudyDescription"),
    *("AccessionNumber", "SeriesDate", "SeriesTime", "SeriesNumber", "SeriesDescription", "Modality"),
    *("BodyPartExamined", "Laterality", "PatientPosition", "ProtocolName", "Manufacturer", "ManufacturerModelName"),
    *("SoftwareVersions", "ImageType", "InstanceNumber", "AcquisitionNumber", "AcquisitionDate", "AcquisitionTime"),
    *("ContentDate", "ContentTime", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated"),
    *("BitsStored", "PixelRepresentation", "PhotometricInterpretation", "LossyImageCompression", "PixelSpacing"),
    *("ImagerPixelSpacing", "SliceThickness", "SpacingBetweenSlices", "SliceLocation", "ImagePositionPatient"),
    *("ImageOrientationPatient", "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "RescaleType"),
    *("KVP", "XRayTubeCurrent", "ExposureTime", "Exposure", "ConvolutionKernel", "ContrastBolusAgent"),
    *("MagneticFieldStrength", "ScanningSequence", "SequenceVariant", "MRAcquisitionType", "SequenceName"),
    *("RepetitionTime", "EchoTime", "InversionTime", "FlipAngle", "Units", "ViewPosition", "BurnedInAnnotation"),
)
"""Keywords that every header database has."""

_PLACE = (
    ("SeriesUID", pa.string()),
    ("StorageRoot", pa.string()),
    ("Folder", pa.string()),
)
"""Columns that tell which series a row is of."""

_INSTANCE = (
    ("Index", pa.int64()),
    ("FileName", pa.string()),
    ("PrimaryAxis", pa.string()),
    ("PrimaryPosition", pa.float64()),
    ("ObjectSize", pa.int64()),
)
_SERIES = (
    ("Instances", pa.int64()),
    ("Frames", pa.int64()),
    ("Bytes", pa.int64()),
    ("PrimaryAxis", pa.string()),
    ("FirstPosition", pa.float64()),
    ("LastPosition", pa.float64()),
    ("Varying", pa.list_(pa.string())),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderColumn:
    """One element as a column, of one type whatever a series has."""

    name: str
    """Keyword, or `gggg_eeee`."""

    column: str
    """Name of its column in an index, where it varies."""

    type: pa.DataType
    """Type of the column: a list where the element may have several values."""

    convert: Callable[[Any], Any]
    """Brings one value of the index to the type; None for what is no such value."""


def choose_columns(further: Iterable[str] = ()) -> tuple[HeaderColumn, ...]:
    """Choose the elements of a header database: the common ones, then others that are asked for.

    Args:
        further: Keywords, or `gggg_eeee` of private elements.

    Raises:
        OptionsError: One is no keyword, or its values are binary.
    """
    return tuple(_describe_column(name) for name in dict.fromkeys([*COMMON_KEYWORDS, *further]))


def build_schema(columns: Sequence[HeaderColumn], per: Per) -> pa.Schema:
    """Build the schema of the database: where a row comes from, then the elements."""
    own = _INSTANCE if per == "instance" else _SERIES
    return pa.schema([*map(pa.field, *zip(*_PLACE, *own, strict=True)), *(pa.field(c.name, c.type) for c in columns)])


def list_instance_values(index: SeriesIndex, columns: Sequence[HeaderColumn]) -> list[list[Any]]:
    """List the values of each column of the schema, with a row for each instance in display order."""
    count = len(index)
    place = [[value] * count for value in (index.series_uuid, index.root, index.folder)]
    own = [index.values(name) for name, _ in _INSTANCE]
    return [*place, *own, *(_list_values(index, column) for column in columns)]


def list_series_values(index: SeriesIndex, columns: Sequence[HeaderColumn]) -> list[list[Any]]:
    """List the values of each column of the schema, in one row: null where they are not the same in all instances."""
    positions = [each for each in index.values("PrimaryPosition") if each is not None]
    frames = sum(each or 0 for each in index.values("NumberOfFrames"))
    values = [_list_values(index, column) for column in columns]
    is_shared = [all(value == each[0] for value in each) for each in values]
    shared = [each[0] if same else None for each, same in zip(values, is_shared, strict=True)]
    varying = [column.name for column, same in zip(columns, is_shared, strict=True) if not same]
    own = [
        len(index),
        frames,
        sum(each or 0 for each in index.values("ObjectSize")),
        index.values("PrimaryAxis")[0],
        positions[0] if positions else None,
        positions[-1] if positions else None,
        varying,
    ]
    return [[value] for value in (index.series_uuid, index.root, index.folder, *own, *shared)]


def _describe_column(name: str) -> HeaderColumn:
    tag = tag_of(name)
    if tag is None:
        raise OptionsError(f"{name!r} is no keyword of DICOM{suggest_name(name)}")
    vr = vr_of(tag)
    if not is_private(tag) and vr in BINARY_VRS:
        raise OptionsError(f"{name} is binary: a header database has elements of text and numbers only")
    kind, convert = _find_type(tag, vr)
    return HeaderColumn(name=name, column=ELEMENT_COLUMNS.get(name, name), type=kind, convert=convert)


def _find_type(tag: int, vr: str) -> tuple[pa.DataType, Callable[[Any], Any]]:
    """Find the type of an element by its VR and multiplicity; of a private one text."""
    if is_private(tag):
        return pa.string(), _join_texts
    if vr == "SQ":
        return pa.string(), _to_text
    kind, convert = (
        (pa.int64(), _to_integer)
        if vr in INTEGER_VRS
        else (pa.float64(), _to_number)
        if vr in FLOAT_VRS
        else (pa.string(), _to_text)
    )
    if not has_several_values(tag):
        return kind, lambda value: convert(_first(value))
    return pa.list_(kind), lambda values: [*map(convert, values)] if isinstance(values, list) else [convert(values)]


def _list_values(index: SeriesIndex, column: HeaderColumn) -> list[Any]:
    """List the values of one element, row by row."""
    element = index.shared_elements.get(column.name)
    if element is not None and element["vr"] == "SQ":
        return [json.dumps(element.get("Value", []), separators=(",", ":"))] * len(index)
    values, convert = index.values(column.column), column.convert
    if index.find_column(column.column) is None:
        first = values[0] if values else None
        return [None if first is None else convert(first)] * len(values)
    return [None if value is None else convert(value) for value in values]


def _first(value: Any) -> Any:
    return next(iter(value), None) if isinstance(value, list) else value


def _to_text(value: Any) -> str | None:
    return None if value is None or isinstance(value, bytes) else str(value)


def _join_texts(value: Any) -> str | None:
    if isinstance(value, list):
        return "\\".join(_to_text(each) or "" for each in value)
    return _to_text(value)


def _to_integer(value: Any) -> int | None:
    return value if isinstance(value, int) and abs(value) < 1 << 63 else None


def _to_number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
