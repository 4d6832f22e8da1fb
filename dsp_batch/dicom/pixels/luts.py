"""Read lookup tables from attributes: descriptor and data, in all the ways that they are encoded."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.model.frame import LookupTable

TableEntries = npt.NDArray[np.uint16]


_BYTE, _WORD = 8, 16


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
        The descriptor, with 65536 entries where 0 is encoded, and 16 bits where an impossible number is; None where it
        is absent or damaged.
    """
    numbers = attributes.numbers(keyword)
    if len(numbers) < 3 or not all(map(math.isfinite, numbers)):
        return None
    entries, first_value, bits = int(numbers[0]) & 0xFFFF, int(numbers[1]) & 0xFFFF, int(numbers[2])
    if signed and first_value >= 0x8000:
        first_value -= 0x10000
    return Descriptor(entries or 0x10000, first_value, bits if 1 <= bits <= _WORD else _WORD)


def parse_words(attributes: Attributes, keyword: str) -> TableEntries | None:
    """Read US or OW data as 16-bit words; None where it is absent."""
    data = attributes.binary(keyword)
    if data is not None:
        return np.frombuffer(data[: len(data) // 2 * 2], "<u2").astype(np.uint16)
    numbers = attributes.numbers(keyword)
    if not numbers or not np.isfinite(numbers).all():
        return None
    return np.array([int(number) & 0xFFFF for number in numbers], np.uint16)


def unpack_entries(words: TableEntries, descriptor: Descriptor) -> TableEntries:
    """Take a table's entries out of its words: one a word, or two of 8 bits (low byte first).

    The length of the data decides. As many bytes as entries are entries of 8 bits, even where 16 are declared.
    """
    n_bytes = len(words) * 2
    is_too_short = len(words) < descriptor.entries <= n_bytes
    if is_too_short and (descriptor.bits <= _BYTE or n_bytes - descriptor.entries <= 1):
        return words.astype("<u2").view(np.uint8)[: descriptor.entries].astype(np.uint16)
    return words[: descriptor.entries]


def parse_lookup_table(item: Attributes, *, signed: bool) -> LookupTable | None:
    """Read a modality or VOI lookup table.

    Args:
        item: An item of Modality LUT Sequence or VOI LUT Sequence.
        signed: True where the table's input may be negative.

    Returns:
        The table, no longer than its data; None where it is unusable. Its bits are those of its largest entry, because
        writers declare the size of a word, or fewer bits than the entries have.

    References:
        DICOM PS3.3 C.11.1.1, C.11.2.1.1.
    """
    descriptor = parse_descriptor(item, "LUTDescriptor", signed=signed)
    words = parse_words(item, "LUTData")
    if descriptor is None or words is None or not len(words):
        return None
    entries = unpack_entries(words, descriptor)
    bits = max(int(entries.max()).bit_length(), min(descriptor.bits, _BYTE))
    return LookupTable(
        first_value=descriptor.first_value,
        values=entries.astype(np.float64),
        bits=bits,
        notes=describe_width("VOI LUT", bits, descriptor.bits),
    )


def describe_width(name: str, found: int, declared: int) -> tuple[str, ...]:
    """Say that a table has other bits than its descriptor declares: one sentence, or none where they agree."""
    return () if found == declared else (f"{name} has entries of {found} bits, though {declared} are declared",)
