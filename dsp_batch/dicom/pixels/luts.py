"""Read lookup tables from attributes: descriptor and data, in all the ways that they are encoded."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.model.frame import LookupTable

TableEntries = npt.NDArray[np.uint16]


class Descriptor(NamedTuple):
    """The three values of an LUT Descriptor (0028,3002) or of a palette's descriptor (0028,1101)."""

    entries: int
    """Number of entries."""

    first_value: int
    """Input value that takes the first entry."""

    bits: int
    """Number of bits of an entry."""


def parse_descriptor(attributes: Attributes, keyword: str, *, signed: bool) -> Descriptor | None:
    """Read a descriptor's three values.

    The VR is US or SS, depending on the table's input, and writers err. So the first mapped value takes the sign that
    the input has, whichever way it was encoded (PS3.3 C.7.6.3.1.5, C.11.1.1.1).

    Args:
        attributes: The item or header that holds it.
        keyword: `LUTDescriptor`, `RedPaletteColorLookupTableDescriptor` …
        signed: True where the table's input may be negative.

    Returns:
        The descriptor, with 65536 entries where 0 is encoded; None where it is absent or impossible.
    """
    numbers = attributes.numbers(keyword)
    if len(numbers) < 3:
        return None
    entries, first_value, bits = int(numbers[0]) & 0xFFFF, int(numbers[1]) & 0xFFFF, int(numbers[2])
    if signed and first_value >= 0x8000:
        first_value -= 0x10000
    return Descriptor(entries or 0x10000, first_value, bits) if 1 <= bits <= 16 else None


def parse_words(attributes: Attributes, keyword: str) -> TableEntries | None:
    """Read US or OW data as 16-bit words; None where it is absent."""
    data = attributes.binary(keyword)
    if data is not None:
        return np.frombuffer(data[: len(data) // 2 * 2], "<u2").astype(np.uint16)
    numbers = attributes.numbers(keyword)
    return np.array([int(number) & 0xFFFF for number in numbers], np.uint16) if numbers else None


def unpack_entries(words: TableEntries, descriptor: Descriptor) -> TableEntries:
    """Take a table's entries out of its words: one a word, or two of 8 bits (low byte first)."""
    packed = descriptor.bits <= 8 and len(words) < descriptor.entries and len(words) * 2 >= descriptor.entries
    if packed:
        return words.astype("<u2").view(np.uint8)[: descriptor.entries].astype(np.uint16)
    return words[: descriptor.entries]


def parse_lookup_table(item: Attributes, *, signed: bool) -> LookupTable | None:
    """Read a modality or VOI lookup table.

    Args:
        item: An item of Modality LUT Sequence or VOI LUT Sequence.
        signed: True where the table's input may be negative.

    Returns:
        The table, no longer than its data; None where it is unusable.

    References:
        DICOM PS3.3 C.11.1.1, C.11.2.1.1.
    """
    descriptor = parse_descriptor(item, "LUTDescriptor", signed=signed)
    words = parse_words(item, "LUTData")
    if descriptor is None or words is None or not len(words):
        return None
    entries = unpack_entries(words, descriptor)
    # TableEntries beyond the declared bits would leave the output range: such a descriptor is wrong, not the data.
    bits = max(descriptor.bits, int(entries.max()).bit_length())
    return LookupTable(first_value=descriptor.first_value, values=entries.astype(np.float64), bits=bits)
