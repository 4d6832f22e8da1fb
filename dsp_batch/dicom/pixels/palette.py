"""Read palette color lookup tables, plain and segmented (PS3.3 C.7.6.3.1.5, C.7.9)."""

from __future__ import annotations

import numpy as np

from dsp_batch.dicom.headers.attributes import Attributes, frame_macro
from dsp_batch.dicom.pixels.luts import (
    Descriptor,
    TableEntries,
    describe_width,
    parse_descriptor,
    parse_words,
    unpack_entries,
)
from dsp_batch.errors import PixelError
from dsp_batch.model.frame import PaletteTable
from dsp_batch.model.series import ByteArray

_CHANNELS = ("Red", "Green", "Blue")
_FRAME_TYPES = ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence")
"""Keywords of the functional groups that tell the pixel presentation of a frame."""

_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


def describe_palette(attributes: Attributes) -> PaletteTable:
    """Read the palette of a PALETTE COLOR image.

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
    channels, declared = [], 0
    first_value = 0
    for channel in _CHANNELS:
        keyword = f"{channel}PaletteColorLookupTableDescriptor"
        descriptor = parse_descriptor(attributes, keyword, signed=signed)
        if descriptor is None:
            raise PixelError(f"{keyword} is absent or no descriptor: the colors of its pixels are unknown")
        first_value = descriptor.first_value
        channels.append(_read_entries(attributes, channel, descriptor))
        declared = max(declared, descriptor.bits)
    length = max(map(len, channels))
    entries = np.stack([np.pad(values, (0, length - len(values)), mode="edge") for values in channels], axis=1)
    bits = _find_bits(entries, declared)
    return PaletteTable(
        first_value=first_value,
        colors=(entries >> (bits - 8)).astype(np.uint8),
        notes=describe_width("Palette Color Lookup Table", bits, declared),
    )


def read_color_map(attributes: Attributes) -> ByteArray | None:
    """Read the palette of a presentation state, which colors what comes out of the VOI (PS3.3 A.33.3).

    Returns:
        Colors of the display values 0 … 255, shape (256, 3); None where there is no palette, or a damaged one.
    """
    if "RedPaletteColorLookupTableDescriptor" not in attributes:
        return None
    try:
        colors = describe_palette(attributes).colors
    except PixelError:
        return None
    spread: ByteArray = colors[np.rint(np.linspace(0, len(colors) - 1, 256)).astype(int)]
    return spread


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


def describe_supplement(attributes: Attributes) -> tuple[PaletteTable | None, tuple[str, ...]]:
    """Read the palette of a grayscale image, which is drawn in gray where it has none that can be read.

    Returns:
        The palette, and a sentence that says why there is none.
    """
    try:
        return describe_palette(attributes), ()
    except PixelError as error:
        return None, (f"Supplemental palette is left out: {error.message}",)


def _read_entries(attributes: Attributes, channel: str, descriptor: Descriptor) -> TableEntries:
    words = parse_words(attributes, f"{channel}PaletteColorLookupTableData")
    if words is not None and len(words):
        return unpack_entries(words, descriptor)
    keyword = f"Segmented{channel}PaletteColorLookupTableData"
    words = parse_words(attributes, keyword)
    if words is None or not len(words):
        raise PixelError(f"{channel}PaletteColorLookupTableData is absent: the colors of its pixels are unknown")
    return _expand_codes(words, descriptor, keyword)


def _expand_codes(words: TableEntries, descriptor: Descriptor, keyword: str) -> TableEntries:
    """Expand segmented data, in bytes or words, whichever give all the entries; as declared where neither do."""
    declared = 8 if descriptor.bits == 8 else 16
    for width in (declared, 24 - declared):
        try:
            entries = _expand_segments(_split_codes(words, width), width, descriptor.entries, keyword)
        except PixelError:
            continue
        if len(entries) == descriptor.entries:
            return entries
    return _expand_segments(_split_codes(words, declared), declared, descriptor.entries, keyword)


def _split_codes(words: TableEntries, width: int) -> list[int]:
    codes: list[int] = (words.astype("<u2").view(np.uint8) if width == 8 else words).tolist()
    return codes


def _find_bits(entries: TableEntries, declared: int) -> int:
    """Find the bits of the entries of all three tables.

    Entries are intensities over the full range of their bits. Some writers declare 8 bits and store words with the
    color in the high byte. Many declare 16 bits and fill in 0 … 255, or 0 … 4095. Such a palette would be black as
    declared, so its largest entry decides; but only if all three tables stay below a sixteenth of the range, because a
    single one may be a dark channel, and a palette may be dim.
    """
    largest = int(entries.max()).bit_length()
    if largest > max(declared, 8):
        return 16
    return max(largest, 8) if largest <= declared - 4 or largest <= 8 else declared


def _expand_segments(codes: list[int], bits: int, n_entries: int, keyword: str) -> TableEntries:
    """Expand segmented data: discrete, linear and indirect segments (PS3.3 C.7.9.2.2)."""
    values: list[int] = []
    at = 0
    while at + 1 < len(codes) and len(values) < n_entries:
        opcode, count = codes[at], codes[at + 1]
        if opcode != _INDIRECT:
            at = _append_segment(codes, at, values, keyword)
            continue
        # The segments to repeat begin at a byte offset of 32 bit, low half first.
        width = bits // 8
        offset = codes[at + 2 : at + 2 + 4 // width]
        target = sum(code << (8 * width * digit) for digit, code in enumerate(offset)) // width
        for _ in range(count):
            if len(values) >= n_entries:
                break
            target = _append_segment(codes, target, values, keyword)
        at += 2 + 4 // width
    if not values:
        raise PixelError(f"{keyword} holds no segment")
    return np.array(values[:n_entries], np.uint16)


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
