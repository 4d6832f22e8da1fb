"""One dataset of a header, the whole of it or an item of a sequence, of which nothing is decoded until it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dsp_batch.dicom.headers.elements import BINARY_VRS, Encoding, nested_encoding, parse_elements, split_items
from dsp_batch.dicom.headers.values import (
    DicomJson,
    character_sets,
    decode_value,
    effective_vr,
    item_encoding,
    items_encoding,
    value_json,
)
from dsp_batch.errors import HeaderError
from dsp_batch.model.series import InstanceHeader, RawElement


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedDataset:
    """The elements of a header or of an item. A report of 100,000 items is opened along one path only."""

    elements: Mapping[int, RawElement]
    header: InstanceHeader
    encoding: Encoding
    terms: tuple[str, ...]
    """Specific Character Set (0008,0005) that holds here."""

    def decode(self, tag: int) -> DicomJson:
        """Decode one element that is no sequence to the DICOM JSON model.

        Raises:
            KeyError: There is no such element.
        """
        element = self.elements[tag]
        vr = effective_vr(tag, element, self.header) if self.elements is self.header.elements else element.vr
        encoding = Encoding() if tag >> 16 == 2 else nested_encoding(self.encoding, vr)
        return value_json(vr, decode_value(element._replace(vr=vr), encoding, self.terms))

    def is_binary(self, tag: int) -> bool:
        """Tell whether an element is told by its length alone: binary values, and what was not read."""
        element = self.elements[tag]
        return element.value is None or element.vr in BINARY_VRS

    def split(self, tag: int) -> list[bytes] | None:
        """Split a sequence into the datasets of its items, undecoded; None for what is no sequence, or a damaged one.

        Raises:
            KeyError: There is no such element.
        """
        element = self.elements[tag]
        if element.vr != "SQ" or element.value is None:
            return None
        try:
            return split_items(element.value, items_encoding(element.value, self.encoding))
        except HeaderError:
            return None

    def open_item(self, tag: int, number: int) -> NestedDataset:
        """Open one item of a sequence.

        Args:
            tag: Tag of the sequence.
            number: Number of the item, from 0.

        Raises:
            KeyError: There is no such element or item.
            HeaderError: The item is damaged.
        """
        items = self.split(tag) or []
        if not 0 <= number < len(items):
            raise KeyError(tag)
        value = self.elements[tag].value or b""
        inner = item_encoding(items[number], items_encoding(value, self.encoding))
        elements = parse_elements(items[number], inner)
        terms = character_sets(elements, self.terms)
        return NestedDataset(elements=elements, header=self.header, encoding=inner, terms=terms)


def open_header(header: InstanceHeader) -> NestedDataset:
    """Open the whole of a header."""
    return NestedDataset(
        elements=header.elements,
        header=header,
        encoding=Encoding(header.implicit_vr, header.big_endian),
        terms=character_sets(header.elements),
    )
