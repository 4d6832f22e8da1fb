"""Read palette color lookup tables, plain and segmented (PS3.3 C.7.6.3.1.5, C.7.9)."""

from __future__ import annotations

import numpy as np

from dsp_batch.dicom.headers.attributes import Attributes, frame_macro
from dsp_batch.dicom.pixels.luts import Descriptor, TableEntries, parse_descriptor, parse_words, unpack_entries
from dsp_batch.errors import PixelError
from dsp_batch.model.frame import PaletteTable
from dsp_batch.model.series import ByteArray

_CHANNELS = ("Red", "Green", "Blue")
_FRAME_TYPES = ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence")
"""Keywords of the functional groups that tell the pixel presentation of a frame."""

_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


def describe_palette(attributes: Attributes) -> PaletteTable:
    """Read the palette of a PALETTE COLOR image, or the supplemental palette of a grayscale one.

    Args:
        attributes: The header, or any item that holds palette attributes.

    Returns:
        The palette in 8 bit; the three tables are as long as the longest, shorter ones repeat their last entry.

    Raises:
        PixelError: The palette is absent or damaged.

    References:
        DICOM PS3.3 C.7.6.3.1.5, C.7.6.3.1.6 (data), C.7.9.2 (segmented data).
    """
    signed = attributes.integer("PixelRepresentation") == 1
    channels, bits = [], 0
    first_value = 0
    for channel in _CHANNELS:
        keyword = f"{channel}PaletteColorLookupTableDescriptor"
        descriptor = parse_descriptor(attributes, keyword, signed=signed)
        if descriptor is None:
            raise PixelError(f"{keyword} is absent or no descriptor: the colors of its pixels are unknown")
        first_value = descriptor.first_value
        channels.append(_read_entries(attributes, channel, descriptor))
        bits = max(bits, descriptor.bits)
    length = max(map(len, channels))
    colors = np.stack([np.pad(values, (0, length - len(values)), mode="edge") for values in channels], axis=1)
    return PaletteTable(first_value=first_value, colors=_scale_entries(colors, bits))


def has_supplement(attributes: Attributes, frame: int) -> bool:
    """Tell whether a grayscale frame has colors too: a supplemental palette, and a pixel presentation that uses it.

    References:
        DICOM PS3.3 C.7.6.19 (Supplemental Palette Color Lookup Table), C.8.16.2.1.1 (Pixel Presentation).
    """
    presentation = attributes.text("PixelPresentation")
    if presentation == "MIXED":
        macros = (frame_macro(attributes, frame, name) for name in _FRAME_TYPES)
        presentation = next((found for macro in macros if (found := macro.text("PixelPresentation"))), None)
    return presentation == "COLOR" and "RedPaletteColorLookupTableDescriptor" in attributes


def _read_entries(attributes: Attributes, channel: str, descriptor: Descriptor) -> TableEntries:
    words = parse_words(attributes, f"{channel}PaletteColorLookupTableData")
    if words is not None and len(words):
        return unpack_entries(words, descriptor)
    keyword = f"Segmented{channel}PaletteColorLookupTableData"
    words = parse_words(attributes, keyword)
    if words is None or not len(words):
        raise PixelError(f"{channel}PaletteColorLookupTableData is absent: the colors of its pixels are unknown")
    codes = words.astype("<u2").view(np.uint8).astype(np.uint16) if descriptor.bits == 8 else words
    return _expand_segments(codes.tolist(), descriptor, keyword)


def _scale_entries(entries: TableEntries, bits: int) -> ByteArray:
    """Reduce the entries of all three tables to 8 bit.

    Entries are intensities over the full range of their bits. Many writers declare 16 bit and fill in 0 … 255. Such a
    palette would be black as declared, so its entries are read as 8 bit; but only if all three tables stay in that
    range, because a single one may be a dark channel.
    """
    bits = bits if int(entries.max()) > 0xFF else 8
    return (entries >> (bits - 8) if bits > 8 else entries).astype(np.uint8)


def _expand_segments(codes: list[int], descriptor: Descriptor, keyword: str) -> TableEntries:
    """Expand segmented data: discrete, linear and indirect segments (PS3.3 C.7.9.2.2)."""
    values: list[int] = []
    at = 0
    while at + 1 < len(codes) and len(values) < descriptor.entries:
        opcode, count = codes[at], codes[at + 1]
        if opcode != _INDIRECT:
            at = _append_segment(codes, at, values, keyword)
            continue
        # The segments to repeat begin at a byte offset of 32 bit, low half first.
        width = 1 if descriptor.bits == 8 else 2
        offset = codes[at + 2 : at + 2 + 4 // width]
        target = sum(code << (8 * width * digit) for digit, code in enumerate(offset)) // width
        for _ in range(count):
            if len(values) >= descriptor.entries:
                break
            target = _append_segment(codes, target, values, keyword)
        at += 2 + 4 // width
    if not values:
        raise PixelError(f"{keyword} holds no segment")
    return np.array(values[: descriptor.entries], np.uint16)


def _append_segment(codes: list[int], at: int, values: list[int], keyword: str) -> int:
    """Append the values of the discrete or linear segment at `at`; return where the next one begins."""
    opcode, count = codes[at : at + 2] if at + 1 < len(codes) else (None, 0)
    if opcode == _DISCRETE and at + 2 + count <= len(codes):
        values.extend(codes[at + 2 : at + 2 + count])
        return at + 2 + count
    if opcode == _LINEAR and at + 2 < len(codes) and values:
        # From the last value, itself not repeated, to the end value in `count` steps.
        first, last = values[-1], codes[at + 2]
        values.extend(round(first + (last - first) / count * step) for step in range(1, count + 1))
        return at + 3
    raise PixelError(f"{keyword} is damaged at entry {at}: {opcode} begins no segment there")
