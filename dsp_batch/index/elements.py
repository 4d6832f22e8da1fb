"""Separate the elements that all instances of a series share from those that vary, which become columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from dsp_batch.dicom.headers.dictionary import is_private, vr_of
from dsp_batch.dicom.headers.values import DicomJson, HeaderDecoder, decoding_key
from dsp_batch.dicom.syntaxes import DEFLATED
from dsp_batch.index.arrays import build_array
from dsp_batch.index.columns import Column, build_columns
from dsp_batch.index.private import align_private_blocks
from dsp_batch.index.representations import Elements, unite_representations
from dsp_batch.model.deadline import check_time
from dsp_batch.model.series import InstanceHeader, RawElement

_ROWS, _TRANSFER_SYNTAX_UID = 0x00280010, 0x00020010
_FIXED = {
    0x00200013: ("InstanceNumber", pa.int32()),
    0x00080018: ("SOPInstanceUID", pa.string()),
    0x00201041: ("SliceLocation", pa.float32()),
    0x00280008: ("NumberOfFrames", pa.int32()),
    _TRANSFER_SYNTAX_UID: ("TransferSyntaxUID", pa.string()),
}
"""Elements that are columns even where they do not vary."""

_LARGEST_NUMBER = 0x7FFFFFFFFFFFFFFF
"""Largest integer that is no damage: an IS has 12 characters (PS3.5 6.2)."""

_MOST_FRAMES_PER_BYTE = 8
"""Largest number of frames in a byte: frames of one bit. A NumberOfFrames that the object cannot hold is damage, and
its frame table would fill memory."""

MOST_FRAMES = 1 << 22
"""Largest number of frames of a series. What is known of 4 million takes 0.7 GB; the largest slides have a million."""

_DEFLATE_RATIO = 1032
"""Largest number of bytes that one deflated byte may stand for (RFC 1951)."""

Split = DicomJson | tuple[Column, ...]
"""The one value of an element that all instances share, in the DICOM JSON model, or its columns if it varies."""


def split_elements(headers: Sequence[InstanceHeader]) -> tuple[dict[int, Split], list[str]]:
    """Split every element of the headers: one value if all instances share it, columns if it varies.

    Args:
        headers: The headers, at least one. Row i of the columns is about the i-th.

    Returns:
        The value or the columns of each tag, tags ascending. Columns that every index has are always among them. And
        notes on elements that were read otherwise than they are encoded, or left out.
    """
    found: Sequence[Mapping[int, RawElement]] = [header.elements for header in headers]
    tags = sorted({*_FIXED}.union(*found))
    rows = align_private_blocks(found, tags)
    if rows is not found:
        headers = [replace(header, elements=row) for header, row in zip(headers, rows, strict=True)]
        tags = sorted({*_FIXED}.union(*rows))
    by_row = [list(elements.values()) if list(elements) == tags else list(map(elements.get, tags)) for elements in rows]
    splitter = _Splitter(tuple(headers))
    split = {tag: splitter.split(tag, elements) for tag, elements in zip(tags, zip(*by_row, strict=True), strict=True)}
    return split, splitter.notes


class _Splitter:
    """The headers of a series and the decoders of their elements."""

    def __init__(self, headers: tuple[InstanceHeader, ...]) -> None:
        self._headers = headers
        self._decoders = _build_decoders(headers)
        self._is_one_encoding = self._decoders.count(self._decoders[0]) == len(self._decoders)
        self.notes: list[str] = []
        """Sentences that say which elements were read otherwise than they are encoded, or left out."""

    def split(self, tag: int, elements: Elements) -> Split:
        """Split one element.

        Headers with the same bytes share their elements, so that comparing them mostly compares identity.
        """
        check_time()
        first = elements[0]
        is_same = self._is_one_encoding and first and first.value is not None and elements.count(first) == len(elements)
        if first and is_same and tag not in _FIXED:
            return self._decoders[0].json(tag, first)
        elements, notes = unite_representations(tag, elements)
        self.notes += notes
        if tag in _FIXED:
            return (self._fixed_column(tag, elements),)
        columns = build_columns(tag, elements, self._decode_once(tag), self._creator(tag))
        return self._find_common(tag, elements, columns) or tuple(columns)

    def _decode_once(self, tag: int) -> Callable[[int, RawElement], Any]:
        """Make a function that decodes the element of a row, and each distinct value only once."""
        decoders, memo = self._decoders, dict[tuple[RawElement, HeaderDecoder], Any]()

        def decode(row: int, element: RawElement) -> Any:
            key = (element, decoders[row])
            if key not in memo:
                memo[key] = decoders[row].decode(tag, element)
            return memo[key]

        return decode

    def _find_common(self, tag: int, elements: Elements, columns: list[Column]) -> DicomJson | None:
        """Find the one value that all instances have, however each encodes it.

        Returns:
            The value; None where they differ, or where it was not read.
        """
        pairs = zip(elements, self._decoders, strict=True)
        present = [(element, decoder) for element, decoder in pairs if element and element.value is not None]
        values = columns[-1][1].to_pylist()
        if len(present) < len(elements) or any(value != values[0] for value in values):
            return None
        element, decoder = next((pair for pair in present if pair[0].vr != "UN"), present[0])
        return decoder.json(tag, element)

    def _creator(self, tag: int) -> str | None:
        """Find the private creator of an element, in the first instance that names one (PS3.5 7.8.1)."""
        if not is_private(tag) or tag & 0xFFFF < 0x1000:
            return None
        block = tag & 0xFFFF0000 | tag >> 8 & 0xFF
        creators = (header.elements.get(block) for header in self._headers)
        return next((creator.text for creator in creators if creator and creator.value), None)

    def _fixed_column(self, tag: int, elements: Elements) -> Column:
        name, kind = _FIXED[tag]
        headers = self._headers
        if tag == _TRANSFER_SYNTAX_UID:
            values: list[Any] = [header.transfer_syntax_uid for header in headers]
        else:
            decode = self._decode_once(tag)
            decoded = [decode(row, element) if element else None for row, element in enumerate(elements)]
            written = [each[0] if isinstance(each, list) and each else None for each in decoded]
            values = [_convert(value, kind) for value in written]
            self._note_misread(name, written, values)
        if name == "NumberOfFrames":
            counted = [_count_frames(value, header) for value, header in zip(values, headers, strict=True)]
            self._note_misread(
                name, values, [n if n == value else None for n, value in zip(counted, values, strict=True)]
            )
            values = counted
        if pa.types.is_int32(kind) and any(value is not None and abs(value) > 0x7FFFFFFF for value in values):
            kind = pa.int64()
        return pa.field(name, kind, metadata={"tag": f"{tag:08X}", "vr": vr_of(tag)}), build_array(values, kind)

    def _note_misread(self, name: str, written: Sequence[Any], read: Sequence[Any]) -> None:
        """Note how many instances write something as an element that cannot be read as such."""
        count = sum(value is None and what is not None for what, value in zip(written, read, strict=True))
        if count:
            self.notes.append(f"{name} is not usable in {'1 object' if count == 1 else f'{count} objects'}: left out")


def _convert(value: Any, kind: pa.DataType) -> Any:
    """Convert a decoded value to the type of its column; None where it is of none, or no sensible number."""
    if pa.types.is_string(kind):
        return str(value) if isinstance(value, str | int | float) else None
    if not isinstance(value, int | float) or not abs(value) <= _LARGEST_NUMBER:
        return None
    if pa.types.is_floating(kind):
        return value
    return int(value) if value == int(value) else None


def _build_decoders(headers: tuple[InstanceHeader, ...]) -> list[HeaderDecoder]:
    """Build a decoder for each instance. Instances whose elements decode alike share one."""
    keys = [decoding_key(header) for header in headers]
    by_key = {key: HeaderDecoder(header) for key, header in dict(zip(keys, headers, strict=True)).items()}
    return [by_key[key] for key in keys]


def most_frames(size: int, transfer_syntax_uid: str | None) -> int:
    """Compute how many frames an object of a size in bytes can hold at most."""
    return _MOST_FRAMES_PER_BYTE * (_DEFLATE_RATIO if transfer_syntax_uid == DEFLATED else 1) * size


def _count_frames(value: Any, header: InstanceHeader) -> int | None:
    """Count the frames of an instance as far as its object can hold them; None where it has no pixels."""
    if isinstance(value, int) and 0 < value <= most_frames(header.size, header.transfer_syntax_uid):
        return value
    return 1 if _ROWS in header.elements else None
