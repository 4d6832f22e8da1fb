"""Write the header of an instance, as its index has it, in the DICOM JSON model (PS3.18 F)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from dsp_batch.dicom.headers.dictionary import name_of
from dsp_batch.dicom.headers.values import DicomJson, value_json
from dsp_batch.index.columns import widen_decimal
from dsp_batch.index.series_index import SeriesIndex

_META_GROUP = "0002"
_NUMBER_OF_FRAMES = "00280008"
_TELL_FRAMES = ("PerFrameFunctionalGroupsSequence", "FrameIncrementPointer")
"""Elements of objects that may have one frame and say so. An index has a number of frames for all others too."""


def describe_instance(index: SeriesIndex, row: int, patterns: Sequence[str] = ()) -> dict[str, DicomJson]:
    """Write a header in the DICOM JSON model.

    Args:
        index: The series.
        row: Row of the instance.
        patterns: Only elements whose keyword or tag one of these names, with `*` and `?` as in file names, in any case:
            `*Date`, `PatientID`, `0018*`, `0018,0060`, `0009_1001`. None for the whole header.

    Returns:
        The elements by tag, ascending, without Pixel Data. Decimal texts (DS) that the index keeps in 32 bits are the
        shortest numbers that these stand for. Values that the index does not keep (large and varying binary ones) are
        `BulkDataURI`s, which name the object that holds them. The File Meta Information (group 0002) is no part of the
        model, and is there only where a pattern names it.

    References:
        DICOM PS3.18 F.2 (DICOM JSON Model).
    """
    found = {**index.constants, **_list_varying(index, row)}
    if patterns:
        return choose_elements(found, patterns)
    return {tag: found[tag] for tag in sorted(found) if tag[:4] != _META_GROUP}


def choose_elements(elements: Mapping[str, DicomJson], patterns: Sequence[str]) -> dict[str, DicomJson]:
    """Choose elements by keyword or tag.

    Args:
        elements: Elements by tag, as `describe_instance` returns them.
        patterns: As for `describe_instance`.

    Returns:
        The elements that one of the patterns names, by tag, ascending.
    """
    wanted = [_spell(pattern) for pattern in patterns]
    names = {tag: (name_of(int(tag, 16)).lower(), tag.lower()) for tag in sorted(elements)}
    return {
        tag: elements[tag]
        for tag, spellings in names.items()
        if any(fnmatchcase(each, glob) for each in spellings for glob in wanted)
    }


def _spell(pattern: str) -> str:
    """Spell a tag of any form as eight digits in small letters: `(0018,0060)`, `0018_0060`, `0x00180060`."""
    plain = pattern.strip().lower().removeprefix("0x").strip("()")
    shorter = plain.replace(",", "").replace("_", "").replace(" ", "")
    return shorter if all(character in "0123456789abcdef*?[]!-" for character in shorter) else plain


def _list_varying(index: SeriesIndex, row: int) -> dict[str, DicomJson]:
    """List the elements that are columns, as far as the instance has them."""
    elements: dict[str, DicomJson] = {}
    for field in index.columns.schema:
        metadata = field.metadata or {}
        if b"tag" not in metadata or field.name.endswith("_Hash"):
            continue
        tag, vr = metadata[b"tag"].decode(), metadata[b"vr"].decode()
        value = index.values(field.name)[row]
        if value is None or (tag == _NUMBER_OF_FRAMES and not _says_frames(index, row, value)):
            continue
        is_binary = field.name.endswith("_Size")
        elements[tag] = _locate_value(index, row, vr, value) if is_binary else _read_cell(field.type, vr, value)
    return elements


def _says_frames(index: SeriesIndex, row: int, frames: int) -> bool:
    """Tell whether an object itself has a number of frames."""
    header = index.attributes(row)
    return frames > 1 or any(header.value(keyword) is not None for keyword in _TELL_FRAMES)


def _locate_value(index: SeriesIndex, row: int, vr: str, size: int) -> DicomJson:
    """Say where a binary value is, which the index tells the size of."""
    if not size:
        return {"vr": vr}
    parts = (index.root, index.objects_folder, index.object_names[row])
    url = "/".join(part for part in parts if part)
    return {"vr": vr, "BulkDataURI": f"file://{quote(url)}" if url.startswith("/") else url}


def _read_cell(kind: pa.DataType, vr: str, value: Any) -> DicomJson:
    if vr == "SQ":
        items = json.loads(value) if value else []
        return items if isinstance(items, dict) else value_json(vr, items)
    values = value if isinstance(value, list) else [] if value == "" else [value]
    inner = kind.value_type if pa.types.is_list(kind) else kind
    if vr == "DS" and pa.types.is_float32(inner):
        values = [None if each is None else widen_decimal(each) for each in values]
    return value_json(vr, values)
