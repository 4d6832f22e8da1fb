"""Recognise how a frame is encoded by its own bytes, whatever transfer syntax the header declares (PS3.5 A.4)."""

from __future__ import annotations

import struct

from dsp_batch.dicom import syntaxes
from dsp_batch.dicom.pixels.codestream import parse_jpeg, parse_jpeg_2000
from dsp_batch.errors import PixelError
from dsp_batch.model.frame import PixelFormat
from dsp_batch.model.ranges import Buffer

_RLE_HEADER = struct.Struct("<16L")
_JPEG = b"\xff\xd8\xff"
"""SOI and the beginning of another marker, in JPEG and JPEG-LS."""

_JPEG_2000 = (b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")
"""SOC and SIZ of a codestream, and the first box of a JP2 file."""

_JPEG_XL = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")
"""The beginning of a codestream, and the first box of a container."""

SIGNATURES = (_JPEG, *_JPEG_2000, *_JPEG_XL)
"""How codestreams begin, RLE excepted: its signature is a table of offsets."""


def opens_codestream(content: bytes) -> bool:
    """Tell whether the first bytes of a fragment, 8 or more, are those of a codestream.

    RLE begins with its number of segments, 1 to 15, and the first of them at byte 64 (PS3.5 G.5).
    """
    is_rle = content[1:8] == b"\0\0\0\x40\0\0\0" and 1 <= content[0] <= 15
    return is_rle or content.startswith(SIGNATURES)


def identify_syntax(data: Buffer, pixels: PixelFormat) -> str:
    """Tell the transfer syntax that a frame is encoded in.

    Args:
        data: The frame's bytes, as `read_frames` gives them.
        pixels: Its format, with the transfer syntax that the header declares.

    Returns:
        The declared transfer syntax where the bytes agree with it or tell nothing. Otherwise one that has the codec
        whose signature the bytes begin with, or Explicit VR Little Endian where they are as many as a native frame has.
    """
    declared = pixels.transfer_syntax_uid
    is_frame_long = _is_native_length(len(data), pixels)
    if syntaxes.is_native(declared) and is_frame_long:
        return declared
    found = _recognise(bytes(data[: _RLE_HEADER.size]), data)
    if found is None and is_frame_long and declared != syntaxes.DEFLATED_FRAMES:
        found = syntaxes.EXPLICIT_LITTLE
    return declared if found is None or syntaxes.name_codec(found) == syntaxes.name_codec(declared) else found


def _is_native_length(length: int, pixels: PixelFormat) -> bool:
    """Compare a length with that of a native frame, with or without the byte that makes it even."""
    full = pixels.rows * pixels.columns * pixels.samples_per_pixel * pixels.bits_allocated
    lengths = {-(-bits // 8) for bits in (full, pixels.native_frame_bits)}
    return length in lengths or (length % 2 == 0 and length - 1 in lengths)


def _recognise(head: bytes, data: Buffer) -> str | None:
    """Recognise a codec by its signature, and tell lossless codestreams from lossy ones by their headers."""
    try:
        if head.startswith(_JPEG):
            stream = parse_jpeg(bytes(data))
            if stream.is_jpeg_ls:
                return syntaxes.JPEG_LS_LOSSLESS
            return syntaxes.JPEG_LOSSLESS_SV1 if stream.is_lossless else syntaxes.JPEG_EXTENDED
        if head.startswith(_JPEG_2000):
            stream = parse_jpeg_2000(bytes(data))
            return syntaxes.JPEG_2000_LOSSLESS if stream.is_lossless else syntaxes.JPEG_2000_ANY
    except PixelError:
        return None  # a damaged codestream is the declared decoder's to report
    if head.startswith(_JPEG_XL):
        return syntaxes.JPEG_XL_ANY
    return syntaxes.RLE if _is_rle(head, len(data)) else None


def _is_rle(head: bytes, length: int) -> bool:
    """Check the whole RLE header: native pixels may begin with the same 8 bytes."""
    if len(head) < _RLE_HEADER.size:
        return False
    count, *offsets = _RLE_HEADER.unpack(head)
    used, unused = offsets[:count], offsets[count:]
    return (
        1 <= count <= len(offsets) and used[0] == len(head) and used == sorted(used) and used[-1] < length
    ) and not any(unused)


def describe_departure(declared: str, found: str) -> tuple[str, ...]:
    """Say in one sentence that pixels are encoded otherwise than declared."""
    return (f"Pixel Data is {syntaxes.name_codec(found)}, though {syntaxes.name_codec(declared)} is declared",)
