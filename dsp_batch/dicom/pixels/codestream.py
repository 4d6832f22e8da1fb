"""Read the header of a codestream before it is decoded, so that its claims are checked before they cost memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dsp_batch.errors import PixelError
from dsp_batch.model.series import StoredArray

_SOI, _EOI, _SOS, _APP0, _APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xEE
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""Markers that begin a frame header: SOF0 … SOF15 without DHT, JPG and DAC, and SOF55 of JPEG-LS."""

_JPEG_LS_MARKER = 0xF7
_LOSSLESS_MARKERS = frozenset({0xC3, 0xC7, 0xCB, 0xCF, _JPEG_LS_MARKER})
_RGB_IDS = (b"RGB", b"rgb")
_JPEG_2000_START = b"\xff\x4f\xff\x51"
"""The markers SOC and SIZ."""

_COD, _SOT, _SOD = 0x52, 0x90, 0x93
_TILE_BYTES = 14
"""Number of bytes of the smallest tile of JPEG 2000: markers SOT and SOD, and nothing else (T.800 A.4.2)."""

_MOST_TILES_UNCHECKED = 1024
_JPEG_XL_LENGTH_BITS = (9, 13, 18, 30)
_JPEG_XL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Ratios of columns to rows, by the number that stands for each in a codestream."""


class Cut(NamedTuple):
    """What a codestream that is cut off lacks."""

    missing: int
    """Number of bytes that its last tile-part lacks."""

    share: float
    """Share of the image that it has, from 0 to 1: tiles that are whole, and of the last one its bytes."""


class DecodedSamples(NamedTuple):
    """The samples of one frame as a decoder returns them."""

    samples: StoredArray
    """Samples, shape (rows, columns) or (rows, columns, samples)."""

    photometric: str
    """Photometric interpretation after decoding: a codec may have turned chrominance into RGB."""

    bits: int
    """Number of bits of a sample that may be used."""

    sign_bits: int
    """Number of bits of a signed value, the highest being its sign. The codec may say otherwise than the header."""

    missing: int = 0
    """Number of pixels at the end of the frame that its data do not reach."""

    notes: tuple[str, ...] = ()
    """Sentences that say what of the data is missing or left over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Codestream:
    """The frame header of a JPEG, JPEG-LS or JPEG 2000 codestream."""

    rows: int
    columns: int
    components: int
    precision: int
    """Number of bits of a sample."""

    signed: bool = False
    """True where samples are two's complement. Only JPEG 2000 can say so."""

    is_lossless: bool = False
    """True where the encoding keeps every value, as far as the header tells: of JPEG-LS it does not."""

    is_jpeg_ls: bool = False
    transforms_color: bool | None = None
    """True where a marker, component names or subsampling say that the decoder has to turn luminance and chrominance
    into RGB, False where they say that it has not, None where the codestream does not tell."""


def parse_jpeg(data: bytes) -> Codestream:
    """Parse the markers of a JPEG or JPEG-LS codestream up to its frame header.

    Raises:
        PixelError: There is no frame header.

    References:
        ITU-T T.81 B.2, T.87 C.2; Adobe TN 5116 (APP14); JFIF 1.02.
    """
    at = 2 if data[:2] == b"\xff\xd8" else len(data)
    is_jfif, adobe_transform = False, None
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise PixelError(f"its JPEG codestream is damaged: no marker at byte {at}")
        marker = data[at + 1]
        if marker == 0xFF or marker in (0x01, _SOI) or 0xD0 <= marker <= 0xD7:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in (_SOS, _EOI):
            break
        length = struct.unpack_from(">H", data, at + 2)[0]
        segment = data[at + 4 : at + 2 + length]
        if marker in _FRAME_MARKERS:
            return _parse_frame_header(marker, segment, is_jfif=is_jfif, adobe_transform=adobe_transform)
        is_jfif = is_jfif or (marker == _APP0 and segment[:5] == b"JFIF\0")
        if marker == _APP14 and segment[:5] == b"Adobe" and len(segment) >= 12:
            adobe_transform = segment[11]
        at += 2 + length
    raise PixelError("its JPEG codestream has no frame header: it is damaged, or another codec")


def _parse_frame_header(marker: int, segment: bytes, *, is_jfif: bool, adobe_transform: int | None) -> Codestream:
    if len(segment) < 6 or len(segment) < 6 + 3 * segment[5]:
        raise PixelError("its JPEG frame header is cut off")
    precision, rows, columns, components = struct.unpack_from(">BHHB", segment)
    ids, sampling = segment[6 : 6 + 3 * components : 3], segment[7 : 6 + 3 * components : 3]
    transforms_color: bool | None = None
    if components == 3 and len(set(sampling)) > 1:
        transforms_color = True  # nobody subsamples green and blue
    elif adobe_transform is not None:
        transforms_color = adobe_transform != 0
    elif ids in _RGB_IDS:
        transforms_color = False
    elif is_jfif:
        transforms_color = True
    return Codestream(
        rows=rows,
        columns=columns,
        components=components,
        precision=precision,
        is_lossless=marker in _LOSSLESS_MARKERS,
        is_jpeg_ls=marker == _JPEG_LS_MARKER,
        transforms_color=transforms_color,
    )


def parse_jpeg_2000(data: bytes) -> Codestream:
    """Parse the SIZ and COD segments of a JPEG 2000 codestream, bare or in a JP2 file.

    Raises:
        PixelError: It does not begin as a codestream does.

    References:
        ITU-T T.800 A.5.1 (SIZ), A.6.1 (COD).
    """
    start = data.find(_JPEG_2000_START, 0, 4096)
    if start < 0 or len(data) < start + 45:
        raise PixelError("its JPEG 2000 codestream has no header: it is damaged, or another codec")
    columns, rows, left, top = struct.unpack_from(">4L", data, start + 8)
    if rows <= top or columns <= left:
        raise PixelError("its JPEG 2000 header is damaged: the image ends before it begins (SIZ)")
    _check_tiles(data, (start, columns, rows))
    components, depth = struct.unpack_from(">HB", data, start + 40)
    has_component_transform, is_reversible = _read_coding_style(data, start)
    return Codestream(
        rows=rows - top,
        columns=columns - left,
        components=components,
        precision=(depth & 0x7F) + 1,
        signed=bool(depth & 0x80),
        is_lossless=is_reversible,
        transforms_color=has_component_transform,
    )


def _check_tiles(data: bytes, claims: tuple[int, int, int]) -> None:
    """Refuse a codestream that claims more tiles than it can hold: a decoder takes memory for each of them."""
    start, columns, rows = claims
    width, height, left, top = struct.unpack_from(">4L", data, start + 24)
    if not width or not height or columns <= left or rows <= top:
        raise PixelError("its JPEG 2000 header is damaged: its tiles hold nothing (SIZ)")
    tiles = _count_tiles(data, start)
    if tiles > _MOST_TILES_UNCHECKED and tiles * _TILE_BYTES > len(data):
        raise PixelError(f"its codestream of {len(data)} bytes cannot hold the {tiles} tiles that it claims")


def _count_tiles(data: bytes, start: int) -> int:
    """Count the tiles of a codestream whose SIZ has been checked."""
    columns, rows = struct.unpack_from(">2L", data, start + 8)
    width, height, left, top = struct.unpack_from(">4L", data, start + 24)
    return int(-(-(columns - left) // width) * -(-(rows - top) // height))


def _list_main_segments(data: bytes, start: int) -> Iterator[tuple[int, int]]:
    """List the marker and the place of each segment of the main header, the first tile-part's marker included."""
    at = start + 2
    while at + 14 <= len(data) and data[at] == 0xFF:
        yield data[at + 1], at
        if data[at + 1] in (_SOT, _SOD):
            return
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])


def _read_coding_style(data: bytes, start: int) -> tuple[bool, bool]:
    """Read COD: whether it asks for the multiple component transformation (RCT or ICT), and for the 5-3 wavelet."""
    at = next((at for marker, at in _list_main_segments(data, start) if marker == _COD), None)
    return (False, False) if at is None else (data[at + 8] == 1, data[at + 13] == 1)


def find_cut(data: bytes) -> Cut | None:
    """Find where a JPEG 2000 codestream, whose header has been checked, ends within a tile-part.

    Returns:
        What is missing; None where no tile-part is cut off, or its length is not told.

    References:
        ITU-T T.800 A.4.2 (SOT).
    """
    start = data.find(_JPEG_2000_START)
    at = next((at for marker, at in _list_main_segments(data, start) if marker == _SOT), len(data))
    whole = set[int]()
    while at + 12 <= len(data) and data[at : at + 2] == b"\xff\x90":
        tile, length = struct.unpack_from(">HL", data, at + 4)
        end = at + length
        if length and end > len(data):
            part = 0.0 if tile in whole else (len(data) - at) / length
            return Cut(end - len(data), (len(whole) + part) / _count_tiles(data, start))
        whole.add(tile)
        at = end if length else len(data)
    return None


def parse_jpeg_xl(data: bytes) -> tuple[int, int]:
    """Parse the size of a JPEG XL codestream, bare or in a container: rows, columns.

    Raises:
        PixelError: It does not begin as a codestream does.

    References:
        ISO/IEC 18181-1 D.2 (size header), 18181-2 (container boxes).
    """
    start = _find_jpeg_xl(data)
    if data[start : start + 2] != b"\xff\x0a":
        raise PixelError("its JPEG XL codestream has no header: it is damaged, or another codec")
    bits = int.from_bytes(data[start + 2 : start + 16], "little")

    def take(count: int) -> int:
        nonlocal bits
        value: int = bits & ((1 << count) - 1)
        bits >>= count
        return value

    def take_length(*, is_small: bool) -> int:
        return (take(5) + 1) * 8 if is_small else take(_JPEG_XL_LENGTH_BITS[take(2)]) + 1

    is_small = bool(take(1))
    rows = take_length(is_small=is_small)
    ratio = take(3)
    if not ratio:
        return rows, take_length(is_small=is_small)
    numerator, denominator = _JPEG_XL_RATIOS[ratio - 1]
    return rows, rows * numerator // denominator


def _find_jpeg_xl(data: bytes) -> int:
    """Find the first byte of the codestream: byte 0, or a byte of the container's first jxlc or jxlp box."""
    at = 0 if data[4:8] == b"JXL " else len(data)
    while at + 8 <= len(data):
        box: tuple[int, bytes] = struct.unpack_from(">L4s", data, at)
        length, kind = box
        if kind in (b"jxlc", b"jxlp"):
            return at + 8 + 4 * (kind == b"jxlp") + 8 * (length == 1)
        if length < 8:
            break
        at += length
    return 0
