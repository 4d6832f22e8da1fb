"""The elements of the headers of a series, tag by tag: decoded when they are asked for, for all instances at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa

from dsp_batch.dicom.headers.dictionary import is_private
from dsp_batch.dicom.headers.places import IMAGE_GROUP
from dsp_batch.dicom.headers.read import DEFLATED
from dsp_batch.dicom.headers.values import DicomJson, HeaderDecoder, decoding_key
from dsp_batch.index.arrays import build_array
from dsp_batch.index.columns import Column, build_columns
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
"""Integers beyond 64 bits are damage: an IS has 12 characters (PS3.5 6.2)."""

_MOST_FRAMES_PER_BYTE = 8
"""Frames of one bit. A NumberOfFrames that the object cannot hold is damage, and its frame table would fill memory."""

_DEFLATE_RATIO = 1032
"""Bytes that one deflated byte may stand for, at most."""

Elements = tuple[RawElement | None, ...]
"""One element of every instance, row by row; None where it is absent."""

Split = DicomJson | tuple[Column, ...]
"""What an element comes to: one value in the DICOM JSON model, or columns."""


class HeaderTable:
    """What varies among the headers of a series, and what does not.

    Args:
        headers: One at least.
    """

    def __init__(self, headers: Sequence[InstanceHeader]) -> None:
        self.headers = tuple(headers)
        self._rows = [header.elements for header in self.headers]
        self._decoders = _build_decoders(self.headers)
        self._is_one_encoding = self._decoders.count(self._decoders[0]) == len(self._decoders)
        self._split: dict[int, Split] = {}

    def take(self, rows: Sequence[int]) -> HeaderTable:
        """The same headers in another order, with what is known of their elements."""
        table = HeaderTable([self.headers[row] for row in rows])
        table.tags = self.tags
        places = build_array(rows, pa.int64())
        for tag, split in self._split.items():
            if isinstance(split, dict):
                table._split[tag] = split
            else:
                table._split[tag] = tuple((field, array.take(places)) for field, array in split)
        return table

    def complete(self, whole: Mapping[int, InstanceHeader]) -> HeaderTable:
        """The same with whole headers in some rows; up to group 0028 they tell the same as what they replace."""
        table = HeaderTable([whole.get(row, header) for row, header in enumerate(self.headers)])
        table._split = {tag: split for tag, split in self._split.items() if tag >> 16 <= IMAGE_GROUP}
        return table

    @cached_property
    def tags(self) -> frozenset[int]:
        """The tags that any instance has, and those that are columns in any case."""
        return frozenset(_FIXED).union(*self._rows)

    def split(self, tag: int) -> Split:
        """Tell whether an element is the same in all instances.

        Returns:
            Its one value in the DICOM JSON model; else the columns of what varies, none where no instance has it.
        """
        if tag not in self.tags:
            return ()
        if tag not in self._split:
            self._split[tag] = self._split_elements(tag, tuple([elements.get(tag) for elements in self._rows]))
        return self._split[tag]

    def split_all(self) -> dict[int, Split]:
        """Every element, tags ascending."""
        tags = sorted(self.tags)
        rows = [
            list(elements.values()) if list(elements) == tags else list(map(elements.get, tags))
            for elements in self._rows
        ]
        by_tag = zip(tags, zip(*rows, strict=True), strict=True)
        return {tag: self._split.get(tag) or self._split_elements(tag, elements) for tag, elements in by_tag}

    def _split_elements(self, tag: int, elements: Elements) -> Split:
        """Headers with the same bytes share their elements, so that comparing them mostly compares identity."""
        first = elements[0]
        if tag in _FIXED:
            return (self._fixed_column(tag, elements),)
        if self._is_one_encoding and first and first.value is not None and elements.count(first) == len(elements):
            return self._decoders[0].json(tag, first)
        columns = build_columns(tag, elements, self._decode_once(tag), self._creator(tag))
        return self._find_common(tag, elements, columns) or tuple(columns)

    def _decode_once(self, tag: int) -> Callable[[int, RawElement], Any]:
        """Decode the element of a row, each distinct value once."""
        decoders, memo = self._decoders, dict[tuple[RawElement, HeaderDecoder], Any]()

        def decode(row: int, element: RawElement) -> Any:
            key = (element, decoders[row])
            if key not in memo:
                memo[key] = decoders[row].decode(tag, element)
            return memo[key]

        return decode

    def _find_common(self, tag: int, elements: Elements, columns: list[Column]) -> DicomJson | None:
        """The one value that all instances have, however each encodes it; None where they differ or it was not read."""
        pairs = zip(elements, self._decoders, strict=True)
        present = [(element, decoder) for element, decoder in pairs if element and element.value is not None]
        values = columns[-1][1].to_pylist()
        if len(present) < len(elements) or any(value != values[0] for value in values):
            return None
        element, decoder = next((pair for pair in present if pair[0].vr != "UN"), present[0])
        return decoder.json(tag, element)

    def _creator(self, tag: int) -> str | None:
        """The private creator of an element, of the first instance that names one (PS3.5 7.8.1)."""
        if not is_private(tag) or tag & 0xFFFF < 0x1000:
            return None
        block = tag & 0xFFFF0000 | tag >> 8 & 0xFF
        creators = (header.elements.get(block) for header in self.headers)
        return next((creator.text for creator in creators if creator and creator.value), None)

    def _fixed_column(self, tag: int, elements: Elements) -> Column:
        name, kind = _FIXED[tag]
        if tag == _TRANSFER_SYNTAX_UID:
            values: list[Any] = [header.transfer_syntax_uid for header in self.headers]
        else:
            decode = self._decode_once(tag)
            decoded = [decode(row, element) if element else None for row, element in enumerate(elements)]
            values = [each[0] if each else None for each in decoded]
        if name == "NumberOfFrames":
            values = [_frame_count(value, header) for value, header in zip(values, self.headers, strict=True)]
        elif not pa.types.is_string(kind):
            values = [
                None if isinstance(value, str) or abs(value or 0) > _LARGEST_NUMBER else value for value in values
            ]
        if pa.types.is_int32(kind) and any(value is not None and abs(value) > 0x7FFFFFFF for value in values):
            kind = pa.int64()
        vr = next((element.vr for element in elements if element is not None), "")
        return pa.field(name, kind, metadata={"tag": f"{tag:08X}", "vr": vr}), build_array(values, kind)


def _build_decoders(headers: tuple[InstanceHeader, ...]) -> list[HeaderDecoder]:
    """A decoder for each instance: the same one for those whose elements decode alike."""
    keys = [decoding_key(header) for header in headers]
    by_key = {key: HeaderDecoder(header) for key, header in dict(zip(keys, headers, strict=True)).items()}
    return [by_key[key] for key in keys]


def _frame_count(value: Any, header: InstanceHeader) -> int | None:
    deflated = _DEFLATE_RATIO if header.transfer_syntax_uid == DEFLATED else 1
    if isinstance(value, int) and 0 < value <= _MOST_FRAMES_PER_BYTE * deflated * header.size:
        return value
    return 1 if _ROWS in header.elements else None
