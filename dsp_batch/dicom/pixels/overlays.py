"""Read overlay planes: graphics of one bit a pixel that belong on top of the image (PS3.3 C.9.2)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.syntaxes import BIG_ENDIAN
from dsp_batch.errors import PixelError
from dsp_batch.model.frame import PixelFormat
from dsp_batch.model.ranges import Buffer

BoolImage = npt.NDArray[np.bool_]
GROUPS = tuple(range(0x6000, 0x6020, 2))
"""Groups that an image may keep overlays in (PS3.5 7.6)."""

_SIDES = range(1, 1 << 16)
"""Values of Overlay Rows and Overlay Columns, which have 16 bits."""

_MOST_PIXELS = 1 << 28
"""Number of pixels of the largest overlay; one that claims more is damaged."""


def overlay_data_tags(attributes: Attributes) -> frozenset[int]:
    """List the tags of the Overlay Data (60xx,3000) that the header describes; they may be too large for an index."""
    return frozenset(group << 16 | 0x3000 for group in _described(attributes))


class Graphics(NamedTuple):
    """The overlay planes of one frame."""

    mask: BoolImage | None = None
    """True where graphics lie, shape (rows, columns), clipped to the image; None where there are none."""

    notes: tuple[str, ...] = ()
    """Sentences that say which overlays were left out or read otherwise than described."""


def combine_overlays(attributes: Attributes, pixels: PixelFormat, words: Buffer | None, frame: int) -> Graphics:
    """Combine the overlay planes of one frame. A plane that cannot be read is left out: it never costs the image.

    Args:
        attributes: The header, with Overlay Data under the names `60xx_3000`, little endian.
        pixels: The format of the frame.
        words: Native pixels of the frame, for overlays in their unused bits; None where the frame is compressed.
        frame: Frame number from 0.
    """
    combined: BoolImage | None = None
    notes: list[str] = []
    for group in _described(attributes):
        try:
            plane = _read_plane(attributes, group, pixels, words, frame)
        except PixelError as error:
            notes.append(f"Overlay {group:04X} is left out: {error.message}")
            continue
        if plane is None:
            continue
        if combined is None:
            combined = np.zeros((pixels.rows, pixels.columns), np.bool_)
        _paste(plane, _origin(attributes, group), combined)
    return Graphics(combined, tuple(notes))


def read_bitmap_shutter(attributes: Attributes, shape: tuple[int, int]) -> BoolImage | None:
    """Read the pixels that a bitmap display shutter hides (PS3.3 C.7.6.15).

    Args:
        attributes: The header that orders the shutter, with Overlay Data as in `combine_overlays`.
        shape: Rows and columns of the image.

    Returns:
        True where the image is hidden; None where the header has no such plane, or a damaged one.
    """
    group = attributes.integer("ShutterOverlayGroup") or 0
    data = attributes.binary(f"{group:04x}_3000") if group in GROUPS else None
    try:
        plane = _read_data(attributes, group, data, 0) if data is not None else None
    except PixelError:
        return None  # as any optional part that is damaged, it hides nothing
    if plane is None:
        return None
    hidden = np.zeros(shape, np.bool_)
    _paste(plane, _origin(attributes, group), hidden)
    return hidden


def _described(attributes: Attributes) -> list[int]:
    return [group for group in GROUPS if f"{group:04x}_0010" in attributes]


def _origin(attributes: Attributes, group: int) -> tuple[int, int]:
    """Read the row and column of the image where the overlay begins, from 0 (60xx,0050 counts from 1)."""
    origin = attributes.numbers(f"{group:04x}_0050")
    is_known = len(origin) == 2 and all(map(math.isfinite, origin))
    return (int(origin[0]) - 1, int(origin[1]) - 1) if is_known else (0, 0)


def _read_plane(
    attributes: Attributes, group: int, pixels: PixelFormat, words: Buffer | None, frame: int
) -> BoolImage | None:
    """Read the plane from its own data, whatever Overlay Bits Allocated says; from the pixels where there are none.

    Returns:
        The plane; None where it belongs to other frames.

    Raises:
        PixelError: Its description is impossible, or it has no data.
    """
    data = attributes.binary(f"{group:04x}_3000")
    if data is None:
        if (attributes.integer(f"{group:04x}_0100") or 1) <= 1:
            raise PixelError("it has no data")
        return _unused_bits(attributes, group, pixels, words)
    return _read_data(attributes, group, data, frame)


def _read_data(attributes: Attributes, group: int, data: bytes, frame: int) -> BoolImage | None:
    """Read the plane of a frame from Overlay Data; None where it belongs to other frames.

    Raises:
        PixelError: Its description is impossible.
    """
    bits = max(attributes.integer(f"{group:04x}_0100") or 1, 1)
    rows, columns = attributes.integer(f"{group:04x}_0010") or 0, attributes.integer(f"{group:04x}_0011") or 0
    if rows not in _SIDES or columns not in _SIDES or rows * columns > _MOST_PIXELS:
        raise PixelError(f"it claims {rows} × {columns} pixels")
    # Without a number of planes the one there is belongs to all frames; else plane 0 to the frame it names.
    planes = attributes.integer(f"{group:04x}_0015")
    number = 0 if planes is None else frame + 1 - (attributes.integer(f"{group:04x}_0051") or 1)
    if not 0 <= number < (planes or 1):
        return None
    count = rows * columns
    if bits in (8, 16) and len(data) * 8 >= count * bits * (planes or 1):
        cells = np.frombuffer(data, f"<u{bits // 8}", count, number * count * bits // 8)
        plane: BoolImage = (cells != 0).reshape(rows, columns)
        return plane
    return _unpack_bits(data, number * count, rows, columns)


def _unpack_bits(data: bytes, start: int, rows: int, columns: int) -> BoolImage:
    """Unpack the bits of one plane, lowest bit first (PS3.5 8.1.2). Rows that the data lack are blank, and left out."""
    packed = np.frombuffer(data, np.uint8)[start // 8 : (start + rows * columns + 7) // 8]
    bits = np.unpackbits(packed, bitorder="little")[start % 8 :][: rows * columns]
    present = -(-len(bits) // columns)
    return np.pad(bits, (0, present * columns - len(bits))).reshape(present, columns).astype(np.bool_)


def _unused_bits(attributes: Attributes, group: int, pixels: PixelFormat, words: Buffer | None) -> BoolImage:
    """Read an overlay in a bit of the pixels that holds no value: retired, but in archives (PS3.3 C.9.2.1.1, 2004)."""
    position = attributes.integer(f"{group:04x}_0102") or 0
    low = pixels.high_bit + 1 - pixels.bits_stored
    if low <= position <= pixels.high_bit:
        raise PixelError(f"it has no data, and lies in bit {position}, which holds pixel values")
    if not 0 <= position < pixels.bits_allocated:
        raise PixelError(f"it has no data, and lies in bit {position} of pixels of {pixels.bits_allocated} bits")
    count = pixels.rows * pixels.columns
    size = pixels.bits_allocated // 8
    if words is None or pixels.bits_allocated not in (8, 16, 32) or pixels.samples_per_pixel != 1:
        raise PixelError("it lies in unused bits of pixels that are compressed, packed or in color")
    order = ">" if pixels.transfer_syntax_uid in BIG_ENDIAN else "<"
    values = np.frombuffer(words, f"{order}u{size}", count=min(len(words) // size, count))
    if values.size < count:
        raise PixelError("it lies in unused bits of pixels that are cut off")
    return (values.reshape(pixels.rows, pixels.columns) >> position & 1).astype(np.bool_)


def _paste(plane: BoolImage, origin: tuple[int, int], image: BoolImage) -> None:
    """Add a plane to an image, and clip it where it reaches beyond."""
    top, left = origin
    bottom, right = min(top + plane.shape[0], image.shape[0]), min(left + plane.shape[1], image.shape[1])
    rows, columns = slice(max(top, 0), bottom), slice(max(left, 0), right)
    if rows.start < bottom and columns.start < right:
        image[rows, columns] |= plane[rows.start - top : bottom - top, columns.start - left : right - left]
