"""Read the bytes of frames out of an object, by exact ranges."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.headers.elements import UNDEFINED
from dsp_batch.dicom.headers.inflate import cut_inflated
from dsp_batch.dicom.headers.read import InflatedObject, read_inflated
from dsp_batch.dicom.pixels.fragments import ITEM, Encapsulation, FrameBytes, read_fragments
from dsp_batch.dicom.pixels.signature import opens_codestream
from dsp_batch.dicom.syntaxes import BIG_ENDIAN, DEFLATED, is_native
from dsp_batch.errors import HeaderError, PixelError
from dsp_batch.model.frame import PixelFormat
from dsp_batch.model.ranges import Buffer, ByteRange, Reader, answer_reader, read_bytes

_SIGNATURE = 8
"""Number of bytes that tell an item or a codestream from pixels."""

_EXPLICIT_HEAD = 12
"""Number of bytes before the value of an OB or OW element in explicit VR: tag, VR, reserved, length (PS3.5 7.1.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelSource:
    """The position of one instance's pixels in its object."""

    pixels: PixelFormat
    size: int
    """Number of bytes of the whole object."""

    pixel_data_offset: int | None = None
    """First byte of the value of native Pixel Data; None where it is encapsulated or deflated."""

    pixel_data_length: int | None = None
    """Number of bytes of native Pixel Data, as its element declares it."""

    fragments_offset: int | None = None
    """First byte of the Basic Offset Table item of encapsulated Pixel Data."""

    frame_offsets: tuple[int, ...] = ()
    """Extended Offset Table (7FE0,0001): bytes from the end of the Basic Offset Table to the item of each frame."""

    frame_lengths: tuple[int, ...] = ()
    """Extended Offset Table Lengths (7FE0,0002): bytes of each frame."""


def read_frames(source: PixelSource, frames: Sequence[int]) -> Reader[FrameBytes]:
    """Read the bytes of some frames, and nothing else wherever the object tells where frames begin.

    Args:
        source: The position of the instance's pixels.
        frames: Frame numbers from 0.

    Returns:
        A reader of the bytes of each frame: native pixels that begin at a whole byte, or a codestream. A frame that
        cannot be read has a `PixelError` instead.

    Raises:
        PixelError: No frame can be read: there are no pixels, or their beginning is damaged.

    References:
        DICOM PS3.5 8.1.1 (native), A.4 (encapsulated), A.5 (deflated).
    """
    missing: FrameBytes = {frame: _no_such_frame(source, frame) for frame in frames}
    wanted = sorted({frame for frame in frames if 0 <= frame < source.pixels.number_of_frames})
    if not wanted:
        return missing
    if source.fragments_offset is not None:
        found = yield from read_fragments(_layout(source, source.fragments_offset, source.size), wanted)
    elif source.pixel_data_offset is not None and _is_plainly_native(source):
        found = yield from _read_native(source, wanted)
    elif source.pixel_data_offset is not None:
        found = yield from _read_defined_length(source, wanted)
    elif source.pixels.transfer_syntax_uid == DEFLATED:
        found = yield from _read_deflated(source, wanted)
    else:
        raise PixelError("it has no Pixel Data", "no-pixels")
    return missing | found


def _is_plainly_native(source: PixelSource) -> bool:
    """Tell whether pixels are declared native, and their element is long enough for all the frames."""
    return is_native(source.pixels.transfer_syntax_uid) and (source.pixel_data_length or 0) * 8 >= _all_bits(source)


def _all_bits(source: PixelSource) -> int:
    return _frame_bits(source) * source.pixels.number_of_frames


def _layout(source: PixelSource, start: int, end: int) -> Encapsulation:
    return Encapsulation(
        start=start,
        end=end,
        number_of_frames=source.pixels.number_of_frames,
        offsets=source.frame_offsets,
        lengths=source.frame_lengths,
    )


def _no_such_frame(source: PixelSource, frame: int) -> PixelError:
    return PixelError(f"frame {frame + 1} is not among its {source.pixels.number_of_frames} frames")


def _read_native(source: PixelSource, wanted: Sequence[int]) -> Reader[FrameBytes]:
    """Read frames at computed ranges. Big endian OW of 8-bit pixels has each two bytes exchanged (PS3.5 8.1.2)."""
    start, length = source.pixel_data_offset or 0, source.pixel_data_length or 0
    end = min(length, source.size - start)
    bits = _frame_bits(source)
    spans = {frame: (frame * bits // 8 // 2 * 2, -(-(frame + 1) * bits // 8)) for frame in wanted}
    # Of a frame that is cut off, at least half is enough: it is drawn as far as it goes.
    present = [frame for frame in wanted if 2 * (end - spans[frame][0]) >= spans[frame][1] - spans[frame][0]]
    stops = {frame: min(spans[frame][1], end) for frame in present}
    ranges = [ByteRange(start + spans[f][0], start + stops[f] + stops[f] % 2) for f in present]
    may_swap = source.pixels.transfer_syntax_uid in BIG_ENDIAN and source.pixels.bits_allocated <= 8
    head = [ByteRange(max(start - _EXPLICIT_HEAD, 0), start)] if may_swap else []
    reply = (yield [*ranges, *head]) if ranges else None
    parts = reply.parts if reply else []
    swap = bool(head and parts and parts[-1][4:6] == b"OW")
    found: FrameBytes = {frame: _cut_off(source, frame) for frame in wanted}
    for frame, part in zip(present, parts, strict=False):
        first = spans[frame][0]
        if len(part) >= stops[frame] - first:
            found[frame] = _align(_swap_bytes(part) if swap else part, frame * bits - first * 8, bits)
    return found


def _frame_bits(source: PixelSource) -> int:
    """Compute the bits of a frame. Decompressed images often keep YBR_FULL_422 although all three samples are there."""
    pixels = source.pixels
    full = pixels.rows * pixels.columns * pixels.samples_per_pixel * pixels.bits_allocated
    is_full = (source.pixel_data_length or 0) * 8 >= full * pixels.number_of_frames
    return full if is_full else pixels.native_frame_bits


def _align(data: Buffer, skip: int, count: int) -> Buffer:
    """Take `count` bits after the first `skip`, so that the first is the lowest bit of a byte (PS3.5 8.1.1)."""
    if skip % 8 == 0:
        return data[skip // 8 : skip // 8 + -(-count // 8)]
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    return np.packbits(bits[skip : skip + count], bitorder="little").tobytes()


def _swap_bytes(data: Buffer) -> bytes:
    return np.frombuffer(bytes(data) + b"\0" * (len(data) % 2), np.uint16).byteswap().tobytes()


def _cut_off(source: PixelSource, frame: int) -> PixelError:
    return PixelError(
        f"frame {frame + 1} of {source.pixels.number_of_frames} is cut off: its Pixel Data declares "
        f"{source.pixel_data_length} bytes and the object ends at byte {source.size}"
    )


def _read_defined_length(source: PixelSource, wanted: Sequence[int]) -> Reader[FrameBytes]:
    """Read an element of defined length that is declared compressed, or is shorter than its native frames.

    The standard forbids items and codestreams in it, but writers have put them there. What is as long as the native
    frames together is native, and so is what is declared so and does not begin as a codestream.
    """
    start = source.pixel_data_offset or 0
    length = source.pixel_data_length or 0
    end = min(start + length, source.size)
    reply = yield [ByteRange(start, min(start + _SIGNATURE, end))]
    head = bytes(reply.parts[0])
    if head[:4] == ITEM:
        return (yield from read_fragments(_layout(source, start, end), wanted))
    needed = -(-_all_bits(source) // 8)
    is_exact = length in (needed, needed + needed % 2)
    if is_exact or (is_native(source.pixels.transfer_syntax_uid) and not opens_codestream(head)):
        return (yield from _read_native(source, wanted))
    if source.pixels.number_of_frames > 1:
        raise PixelError("its compressed frames are not encapsulated: where each begins is unknown")
    reply = yield [ByteRange(start, end)]
    return {0: bytes(reply.parts[0])}


def _read_deflated(source: PixelSource, wanted: Sequence[int]) -> Reader[FrameBytes]:
    try:
        inflated = yield from read_inflated()
        return _take_inflated(source, inflated, wanted)
    except HeaderError as error:
        raise PixelError(error.message, error.reason) from error


def _take_inflated(source: PixelSource, inflated: InflatedObject, wanted: Sequence[int]) -> FrameBytes:
    """Take frames out of a deflated object. Of native ones no others are held in memory."""
    pixels, dataset = inflated.pixels, inflated.dataset
    if pixels is None:
        raise PixelError("it has no Pixel Data", "no-pixels")
    if pixels.length != UNDEFINED:
        within = PixelSource(
            pixels=source.pixels,
            size=inflated.size,
            pixel_data_offset=pixels.start,
            pixel_data_length=pixels.length,
        )
        return answer_reader(_read_native(within, wanted), lambda each: cut_inflated(dataset, each), inflated.size)
    if not dataset.is_whole:
        kept = len(dataset.data) >> 20
        raise PixelError(f"its deflated dataset of encapsulated Pixel Data is larger than {kept} MB", "too-large")
    layout = _layout(source, pixels.start, inflated.size)
    return read_bytes(read_fragments(layout, wanted), dataset.data)


def parse_offset_table(attributes: Attributes, keyword: str) -> tuple[int, ...]:
    """Read an extended offset table: 64-bit numbers, one a frame (PS3.3 C.7.6.3.1.8).

    Args:
        attributes: The header.
        keyword: `ExtendedOffsetTable` or `ExtendedOffsetTableLengths`.

    Returns:
        The numbers; empty where the table is absent or was not fetched.
    """
    data = attributes.binary(keyword) or b""
    return struct.unpack(f"<{len(data) // 8}Q", data[: len(data) // 8 * 8])
