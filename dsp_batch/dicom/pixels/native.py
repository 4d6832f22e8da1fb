"""Decode uncompressed pixels, and those that RLE or deflate compresses byte by byte."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from dsp_batch.dicom.pixels.codestream import DecodedSamples
from dsp_batch.dicom.syntaxes import BIG_ENDIAN
from dsp_batch.errors import PixelError
from dsp_batch.model.frame import PixelFormat
from dsp_batch.model.ranges import Buffer
from dsp_batch.model.series import StoredArray

_SUBSAMPLED = ("YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420")
_RLE_HEADER = 64
_NO_RUN = 128
"""Code of RLE that says nothing; lower ones precede bytes as they are, higher ones a byte to repeat (PS3.5 G.3.1)."""

_MAX_RLE_GAIN = 64
"""Largest ratio of decoded to encoded bytes: two bytes of RLE make 128 at most (PS3.5 G.3.1)."""


def decode_native(data: Buffer, pixels: PixelFormat) -> StoredArray:
    """Turn the bytes of a native frame into words.

    Args:
        data: One frame, beginning at a whole byte, at least as long as the format says.
        pixels: The format of its values.

    Returns:
        Words of bits_allocated, unused bits included: (rows, columns), or (rows, columns, samples) of color with
        chrominance repeated to full resolution.

    References:
        DICOM PS3.5 8.1.1, 8.2; PS3.3 C.7.6.3.1.2, C.7.6.3.1.3.
    """
    rows, columns, samples = pixels.rows, pixels.columns, pixels.samples_per_pixel
    count = rows * columns * samples
    if pixels.bits_allocated == 1:
        return _unpack_bits(data, count).reshape(_shape(pixels))
    if pixels.photometric in _SUBSAMPLED and len(data) * 8 < count * pixels.bits_allocated:
        return _expand_422(_read_words(data, rows * columns * 2, pixels), pixels)
    words = _read_words(data, count, pixels)
    if samples > 1 and pixels.planar_configuration == 1:
        return words.reshape(samples, rows, columns).transpose(1, 2, 0)
    return words.reshape(_shape(pixels))


def _shape(pixels: PixelFormat) -> tuple[int, ...]:
    shape = (pixels.rows, pixels.columns)
    return shape if pixels.samples_per_pixel == 1 else (*shape, pixels.samples_per_pixel)


def _unpack_bits(data: Buffer, count: int) -> StoredArray:
    if len(data) * 8 < count:
        raise PixelError(f"its frame holds {len(data) * 8} of {count} pixels of one bit")
    return np.unpackbits(np.frombuffer(data, np.uint8), count=count, bitorder="little")


def _unpack_words(data: Buffer, count: int, bits: int) -> StoredArray:
    """Unpack pixels of odd widths, which follow each other without gaps, lowest bit first: 12 bit in ACR-NEMA, say."""
    cells = _unpack_bits(data, count * bits).reshape(count, bits)
    size = next(size for size in (1, 2, 4, 8) if bits <= size * 8)
    padded = np.zeros((count, size * 8), np.uint8)
    padded[:, :bits] = cells
    words: StoredArray = np.packbits(padded, axis=1, bitorder="little").view(f"<u{size}")
    return words.reshape(count).astype(f"u{size}", copy=False)


def _read_words(data: Buffer, count: int, pixels: PixelFormat) -> StoredArray:
    size = -(-count * pixels.bits_allocated // 8)
    if len(data) < size:
        raise PixelError(f"its frame holds {len(data)} bytes where {size} are needed")
    width = pixels.bits_allocated // 8
    order = ">" if pixels.transfer_syntax_uid in BIG_ENDIAN else "<"
    if pixels.value_type == "float":
        return np.frombuffer(data, f"{order}f{width}", count).astype(f"f{width}", copy=False)
    if pixels.bits_allocated in (8, 16, 32, 64):
        return np.frombuffer(data, f"{order}u{width}", count).astype(f"u{width}", copy=False)
    if pixels.bits_allocated % 8:
        return _unpack_words(data, count, pixels.bits_allocated)
    padded = np.zeros((count, 8), np.uint8)
    words = np.frombuffer(data, np.uint8, count * width).reshape(count, width)
    padded[:, :width] = words[:, ::-1] if order == ">" else words
    return padded.view("<u8").reshape(count).astype(np.uint64, copy=False)


def _expand_422(words: StoredArray, pixels: PixelFormat) -> StoredArray:
    """Expand pairs of pixels, stored as Y1 Y2 Cb Cr: each pixel takes the color of its pair."""
    pairs = words.reshape(-1, 4)
    samples = np.empty((len(pairs), 2, 3), words.dtype)
    samples[:, :, 0] = pairs[:, :2]
    samples[:, :, 1:] = pairs[:, None, 2:]
    return samples.reshape(pixels.rows, pixels.columns, 3)


class WholeFrame(NamedTuple):
    """The bytes of a native frame, filled up with zeros where they are cut off."""

    data: Buffer
    missing: int = 0
    """Number of pixels at the end that the data do not reach."""

    notes: tuple[str, ...] = ()


def fill_up(data: Buffer, pixels: PixelFormat) -> WholeFrame:
    """Fill up the bytes of a native frame that is cut off, where at least half of it is there."""
    needed = -(-pixels.native_frame_bits // 8)
    present = len(data)
    if present >= needed or 2 * present < needed:
        return WholeFrame(data)  # whole, or too short: then its decoder says so
    count = pixels.rows * pixels.columns
    is_in_order = pixels.samples_per_pixel == 1 or pixels.planar_configuration == 0
    return WholeFrame(
        data=bytes(data) + bytes(needed - present),
        missing=count - count * present // needed if is_in_order else 0,
        notes=(f"Pixel Data is cut off: the frame has {present} of {needed} bytes",),
    )


def inflate_frame(data: Buffer, pixels: PixelFormat) -> bytes:
    """Inflate a frame (PS3.5 A.4.13): a raw deflate stream of native bytes, or one in a zlib wrapper."""
    limit = pixels.rows * pixels.columns * pixels.samples_per_pixel * pixels.bits_allocated // 8 + 64
    for wbits in (-zlib.MAX_WBITS, zlib.MAX_WBITS):
        try:
            return zlib.decompressobj(wbits).decompress(data, limit)
        except zlib.error as error:
            damage = error
    raise PixelError(f"its deflated frame is damaged: {damage}") from damage


def decode_rle(data: Buffer, pixels: PixelFormat) -> DecodedSamples:
    """Decode a frame of run-length encoded byte planes (PS3.5 G).

    Returns:
        Words of bits_allocated, unused bits included, as `decode_native` returns them.

    Raises:
        PixelError: The segments are damaged, or have less than half of the frame.
    """
    import imagecodecs  # noqa: PLC0415  # a codec is imported when a frame needs it

    count = pixels.rows * pixels.columns * pixels.samples_per_pixel
    size = -(-count * pixels.bits_allocated // 8)
    if len(data) * _MAX_RLE_GAIN < size:
        raise PixelError(f"its RLE frame of {len(data)} bytes cannot hold the {size} bytes of a frame")
    if pixels.bits_allocated % 8 and pixels.bits_allocated != 1:
        raise PixelError(f"its RLE frame cannot hold pixels of {pixels.bits_allocated} bits: it is damaged")
    width = max(pixels.bits_allocated // 8, 1)
    offsets = _parse_segments(data, width * pixels.samples_per_pixel)
    planes, missing = b"", 0
    notes: tuple[str, ...] = ()
    if offsets[-1] < len(data):
        with suppress(RuntimeError):  # then the segments are decoded one by one
            planes = bytes(imagecodecs.dicomrle_decode(bytes(data), f"<u{width}"))
    if pixels.bits_allocated == 1 and len(planes) >= size:
        is_packed = len(planes) < count
        words = _unpack_bits(planes, count) if is_packed else np.frombuffer(planes, np.uint8, count)
    elif len(planes) == size:
        words = np.frombuffer(planes, f"<u{width}", count)
    else:
        words, missing, notes = _decode_segments(bytes(data), offsets, pixels)
    if pixels.samples_per_pixel > 1:
        words = words.reshape(pixels.samples_per_pixel, pixels.rows, pixels.columns).transpose(1, 2, 0)
    bits = pixels.bits_allocated
    words = words.reshape(_shape(pixels))
    return DecodedSamples(words, pixels.photometric, bits, pixels.bits_stored, missing, notes)


def _parse_segments(data: Buffer, expected: int) -> list[int]:
    """Parse the RLE header (PS3.5 G.5), and check it before the codec believes it: other offsets crash it.

    Returns:
        The first byte of each segment. Only those of a frame that is cut off lie beyond the data.
    """
    if len(data) < _RLE_HEADER:
        raise PixelError(f"its RLE frame of {len(data)} bytes has no header")
    count, *offsets = struct.unpack_from("<16L", data)
    offsets = offsets[:count]
    is_rising = all(first < second for first, second in pairwise(offsets))
    if count != expected or count > len(offsets) or not is_rising or offsets[0] != _RLE_HEADER:
        raise PixelError(f"its RLE header of {count} segments is damaged: {expected} are needed, within the frame")
    return list(offsets)


def _decode_segments(data: bytes, offsets: list[int], pixels: PixelFormat) -> tuple[StoredArray, int, tuple[str, ...]]:
    """Decode segments that hold more or fewer bytes than a plane of the frame, each by itself.

    Returns:
        The words, the number of pixels that are missing at the end, and a sentence about it.
    """
    length = pixels.rows * pixels.columns if pixels.bits_allocated > 1 else -(-pixels.rows * pixels.columns // 8)
    runs = [_expand_runs(data[start:stop]) for start, stop in pairwise([*offsets, max(len(data), offsets[-1])])]
    present, needed = sum(min(len(run), length) for run in runs), length * len(runs)
    if 2 * present < needed:
        raise PixelError(f"its RLE frame holds {present} bytes where {needed} are needed")
    planes = np.stack([np.frombuffer(run[:length].ljust(length, b"\0"), np.uint8) for run in runs])
    if present == needed:
        note = "RLE segments have more bytes than the frame: they are left out"
    else:
        note = f"Pixel Data is cut off: the RLE segments of the frame have {present} of {needed} bytes"
    if pixels.bits_allocated == 1:
        return _unpack_bits(planes.tobytes(), pixels.rows * pixels.columns), 0, (note,)
    width = pixels.bits_allocated // 8
    # The segments of a sample begin with its highest byte (PS3.5 G.2).
    words = np.ascontiguousarray(planes.reshape(-1, width, length).transpose(0, 2, 1)).view(f">u{width}")
    missing = length - min(len(runs[0]), length) if pixels.samples_per_pixel == 1 else 0
    return words.reshape(-1).astype(f"u{width}"), missing, (note,)


def _expand_runs(segment: bytes) -> bytes:
    """Expand the runs of a segment as far as it goes (PS3.5 G.3.2)."""
    expanded = bytearray()
    at = 0
    while at < len(segment):
        code = segment[at]
        if code < _NO_RUN:
            expanded += segment[at + 1 : at + 2 + code]
            at += 2 + code
        else:
            expanded += segment[at + 1 : at + 2] * (257 - code) if code > _NO_RUN else b""
            at += 2 if code > _NO_RUN else 1
    return bytes(expanded)
