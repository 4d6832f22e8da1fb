"""Build typed Arrow columns of decoded header elements."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dsp_batch.dicom.headers.dictionary import list_keywords, name_of, tag_of
from dsp_batch.dicom.headers.elements import BINARY_VRS
from dsp_batch.dicom.headers.values import FLOAT_VRS, INTEGER_VRS, DecodedValue, DicomJson, element_value, value_json
from dsp_batch.index.arrays import build_array
from dsp_batch.model.series import RawElement

INT32, INT64 = np.iinfo(np.int32), np.iinfo(np.int64)

Column = tuple[pa.Field, pa.Array]

ELEMENT_COLUMNS = {"FrameTime": "0018_1063"}
"""Column names of elements whose keyword is already the name of a column about frames: these are named by their tag."""


OWN_COLUMNS = frozenset(
    {
        *("Index", "FileName", "SeriesUID", "StorageRoot", "PrimaryPosition", "PrimaryAxis", "ObjectSize"),
        *("PixelDataOffset", "PixelDataLength", "FragmentsOffset"),
        *("FramePosition", "FrameOffset", "FrameLength"),
        *("GridSlices", "GridRows", "GridColumns", "GridOrigin", "GridStep"),
    }
)
"""Names of columns that are no keywords: docs/reference/index-schema.md tells what they mean."""


def is_column_name(name: str) -> bool:
    """Tell whether an index may have a column of this name: an element's, or one of its own."""
    return name in OWN_COLUMNS or tag_of(name.removesuffix("_Size").removesuffix("_Hash")) is not None


def suggest_name(name: str, among: Iterable[str] = ()) -> str:
    """Make the end of a message about a name that is none: the most similar one, if any is.

    Args:
        name: What was written.
        among: Names to look among; none for all keywords and columns of indices.
    """
    from difflib import get_close_matches  # noqa: PLC0415  # for names that are wrong

    near = get_close_matches(name, list(among) or [*OWN_COLUMNS, *list_keywords()], n=1)
    return f": did you mean {near[0]}?" if near else ""


def build_constant(tag: int, element: DicomJson, count: int) -> Column:
    """Build the column of an element that is the same in all instances of a series.

    Args:
        tag: Tag of the element.
        element: The element in the DICOM JSON model.
        count: Number of instances.

    Returns:
        Field and array, with the name and the type that the element would have if it varied; binary values are whole.
    """
    name, vr = ELEMENT_COLUMNS.get(name_of(tag), name_of(tag)), element["vr"]
    metadata = {"tag": f"{tag:08X}", "vr": vr}
    if "InlineBinary" in element or vr in BINARY_VRS:
        value = element_value(element) if "InlineBinary" in element else b""
        return pa.field(name, pa.binary(), metadata=metadata), pa.repeat(pa.scalar(value, pa.binary()), count)
    decoded = element.get("Value", []) if vr == "SQ" else element_value(element)
    field, array = _typed_column(name, metadata, vr, [decoded])
    return field, array.take(build_array([0] * count, pa.int64()))


def build_columns(
    tag: int,
    elements: Sequence[RawElement | None],
    decode: Callable[[int, RawElement], DecodedValue],
    creator: str | None,
) -> list[Column]:
    """Build the column of one element that varies across a series; two for binary ones (size and hash).

    Args:
        tag: Tag of the element.
        elements: One entry an instance, in row order; None where the instance lacks the element.
        decode: Decodes the element of one row.
        creator: Private creator, kept in the field's metadata.

    Returns:
        Fields with their arrays. Field metadata hold `tag`, `vr` and, for private elements, `creator`.
    """
    name = ELEMENT_COLUMNS.get(name_of(tag), name_of(tag))
    vrs = dict.fromkeys(element.vr for element in elements if element is not None)
    vr = next((vr for vr in vrs if vr != "UN"), "UN")
    # Implicit VR hides the VR of a private element that other instances of the series tell.
    elements = [each._replace(vr=vr) if each is not None and each.vr == "UN" else each for each in elements]
    metadata = {"tag": f"{tag:08X}", "vr": vr} | ({"creator": creator} if creator else {})
    if not BINARY_VRS.isdisjoint(each.vr for each in elements if each is not None):
        return _binary_columns(name, metadata, elements)
    decoded = [None if element is None else decode(row, element) for row, element in enumerate(elements)]
    return [_typed_column(name, metadata, vr, decoded)]


def _binary_columns(name: str, metadata: dict[str, str], elements: Sequence[RawElement | None]) -> list[Column]:
    sizes = [None if element is None else element.length for element in elements]
    hashes = [
        None if element is None or element.value is None else hashlib.sha256(element.value).hexdigest()
        for element in elements
    ]
    kind = pa.int32() if all(size is None or size <= INT32.max for size in sizes) else pa.int64()
    return [
        (pa.field(f"{name}_Size", kind, metadata=metadata), build_array(sizes, kind)),
        (pa.field(f"{name}_Hash", pa.string(), metadata=metadata), build_array(hashes, pa.string())),
    ]


def _typed_column(name: str, metadata: dict[str, str], vr: str, decoded: list[Any]) -> Column:
    if vr == "SQ":
        models = [value_json("SQ", value) if isinstance(value, bytes) else value for value in decoded]
        texts = [None if model is None else json.dumps(model, separators=(",", ":")) for model in models]
        return pa.field(name, pa.string(), metadata=metadata), build_array(texts, pa.string())
    present = [value for values in decoded if isinstance(values, list) for value in values if value is not None]
    kind = _element_type(vr, present)
    if pa.types.is_string(kind):
        decoded = [None if values is None else [None if v is None else str(v) for v in values] for values in decoded]
    if any(values is not None and len(values) > 1 for values in decoded):
        return pa.field(name, pa.list_(kind), metadata=metadata), build_array(decoded, pa.list_(kind))
    empty = "" if pa.types.is_string(kind) else None
    scalars = [None if values is None else values[0] if values else empty for values in decoded]
    return pa.field(name, kind, metadata=metadata), build_array(scalars, kind)


def _element_type(vr: str, values: list[Any]) -> pa.DataType:
    """Find the narrowest type that holds every value as written, or text if any is no number."""
    if vr in INTEGER_VRS and all(isinstance(value, int) for value in values):
        low, high = min(values, default=0), max(values, default=0)
        if INT32.min <= low and high <= INT32.max:
            return pa.int32()
        return pa.int64() if INT64.min <= low and high <= INT64.max else pa.string()
    if vr in FLOAT_VRS and all(isinstance(value, float) for value in values):
        return pa.float32() if vr == "FL" or _fits_float32(vr, values) else pa.float64()
    return pa.string()


def _fits_float32(vr: str, values: list[float]) -> bool:
    """Tell whether 32 bits keep the values as written: all of an FD, the decimal digits of a DS."""
    distinct = list(set(values))
    exact = np.asarray(distinct, np.float64)
    with np.errstate(over="ignore"):
        narrow = exact.astype(np.float32)
    if vr == "FD":
        return bool(np.array_equal(exact, narrow.astype(np.float64), equal_nan=True))
    return all(_same_digits(wide, short) for wide, short in zip(distinct, narrow.tolist(), strict=True))


def widen_decimal(narrow: float) -> float:
    """Turn a decimal number that a column keeps in 32 bits into the number of 64 bits that is written alike."""
    return float(str(np.float32(narrow)))


def _same_digits(wide: float, narrow: float) -> bool:
    digits = len(repr(abs(wide)).split("e", maxsplit=1)[0].replace(".", "").strip("0"))
    return f"{wide:.{max(digits, 1)}g}" == f"{narrow:.{max(digits, 1)}g}"
