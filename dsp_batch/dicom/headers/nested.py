"""One dataset of a header, the whole of it or an item of a sequence, of which nothing is decoded until it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dsp_batch.dicom.headers.elements import BINARY_VRS, Encoding
from dsp_batch.dicom.headers.items import Item, parse_items
from dsp_batch.dicom.headers.values import DicomJson, HeaderDecoder, character_sets, decode_value, value_json
from dsp_batch.errors import HeaderError
from dsp_batch.model.series import InstanceHeader, RawElement


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedDataset:
    """The elements of a header or of an item. A report of 100,000 items is decoded along one path only."""

    elements: Mapping[int, RawElement]
    header: InstanceHeader
    encoding: Encoding
    terms: tuple[str, ...]
    """Specific Character Set (0008,0005) that holds here."""

    sequences: Mapping[int, Sequence[Item]] | None = None
    """Items of the sequences among the elements, by tag; None for the header itself, whose sequences are parsed when
    they are asked for."""

    def decode(self, tag: int) -> DicomJson:
        """Decode one element that is no sequence to the DICOM JSON model.

        Raises:
            KeyError: There is no such element.
        """
        element = self.elements[tag]
        if self.sequences is None:
            return HeaderDecoder(self.header).json(tag, element)
        return value_json(element.vr, decode_value(element, self.encoding, self.terms))

    def is_binary(self, tag: int) -> bool:
        """Tell whether an element is told by its length alone: binary values, and what was not read."""
        element = self.elements[tag]
        return element.value is None or element.vr in BINARY_VRS

    def list_items(self, tag: int) -> Sequence[Item] | None:
        """List the items of a sequence, undecoded; None for what is no sequence, or a damaged one.

        Raises:
            KeyError: There is no such element.
        """
        element = self.elements[tag]
        if self.sequences is not None:
            return self.sequences.get(tag)
        if element.vr != "SQ" or element.value is None:
            return None
        try:
            return parse_items(element.value, self.encoding)
        except HeaderError:
            return None

    def open_item(self, tag: int, number: int) -> NestedDataset:
        """Open one item of a sequence.

        Args:
            tag: Tag of the sequence.
            number: Number of the item, from 0.

        Raises:
            KeyError: There is no such element or item.
        """
        items = self.list_items(tag) or []
        if not 0 <= number < len(items):
            raise KeyError(tag)
        item = items[number]
        return NestedDataset(
            elements=item.elements,
            header=self.header,
            encoding=item.encoding,
            terms=character_sets(item.elements, self.terms),
            sequences=item.sequences,
        )


def open_header(header: InstanceHeader) -> NestedDataset:
    """Open the whole of a header."""
    return NestedDataset(
        elements=header.elements,
        header=header,
        encoding=Encoding(header.implicit_vr, header.big_endian),
        terms=character_sets(header.elements),
    )
