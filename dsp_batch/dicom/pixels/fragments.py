"""Encapsulated Pixel Data: which fragments make up a frame (PS3.5 A.4)."""

from __future__ import annotations

import struct
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from dsp_batch.errors import PixelError
from dsp_batch.model.ranges import Buffer, ByteRange, Reader, Reply, T

Steps = Generator[Sequence[ByteRange], Reply, T]
Frames = dict[int, Buffer | PixelError]
"""Frame number from 0 → its bytes, or why they cannot be had."""

ITEM = b"\xfe\xff\x00\xe0"
DELIMITER = b"\xfe\xff\xdd\xe0"

BLOCK = 1 << 20
"""Bytes read at once while walking over small fragments: about what a store sends in the time of a round trip."""

LARGE_FRAGMENT = 256 << 10
"""Fragments of this size or more are walked over by their item headers alone."""

MAX_HELD = 32 << 20
"""Bytes of walked blocks that are kept, so that frames in them need no second request."""

_HEAD = 8
_PEEK = 32
"""Bytes read of an item on such a walk: its header, and what its content begins with."""

_WRAP = 1 << 32
"""Basic offsets have 32 bit; writers of larger objects let them run over."""

_STARTS = (
    b"\xff\xd8\xff",  # JPEG, JPEG-LS: SOI and another marker
    b"\xff\x4f\xff\x51",  # JPEG 2000: SOC, SIZ
    b"\x00\x00\x00\x0cjP  ",  # JPEG 2000 in a JP2 file
    b"\xff\x0a",  # JPEG XL codestream
    b"\x00\x00\x00\x0cJXL ",  # JPEG XL container
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encapsulation:
    """Where the items of an object's Pixel Data lie."""

    start: int
    """First byte of the Basic Offset Table item."""

    end: int
    """Byte behind the last item: the end of the object, or of an element of defined length."""

    number_of_frames: int
    offsets: tuple[int, ...] = ()
    """Extended Offset Table; empty where there is none."""

    lengths: tuple[int, ...] = ()
    """Extended Offset Table Lengths."""


class _Fragment(NamedTuple):
    start: int
    """First byte of its item, header included."""

    stop: int
    opens_frame: bool
    """Its content begins as a codestream does."""


def read_fragments(layout: Encapsulation, wanted: Sequence[int]) -> Reader[Frames]:
    """Read the codestreams of some frames.

    The extended offset table is believed first, then the basic one, each only as far as there is an item where it
    points to. For what remains the item headers are walked over.

    Args:
        layout: Where the items lie.
        wanted: Frame numbers from 0, ascending, all below the number of frames.

    Returns:
        A reader of frame number → codestream or error.

    Raises:
        PixelError: Pixel Data does not begin with an item.
    """
    if layout.number_of_frames == 1:
        return {0: (yield from _read_only_frame(layout))}
    found: Frames = {}
    if len(layout.offsets) >= layout.number_of_frames and len(layout.lengths) >= layout.number_of_frames:
        found = yield from _read_by_extended_table(layout, wanted)
        if len(found) == len(wanted):
            return found
    base, offsets = yield from _read_basic_table(layout)
    if len(offsets) >= layout.number_of_frames:
        found |= yield from _read_by_basic_table(layout, base, offsets, [f for f in wanted if f not in found])
    missing = [frame for frame in wanted if frame not in found]
    if missing:
        found |= yield from _read_by_walk(layout, base, missing)
    return found


def _read_only_frame(layout: Encapsulation) -> Steps[bytes | PixelError]:
    """All fragments are of the one frame, whatever a table says."""
    reply = yield (ByteRange(layout.start, layout.end),)
    data = reply.parts[0]
    frame = _join_items(data, _skip_table(data))
    return PixelError("its pixels are cut off or damaged within an item") if frame is None else frame


def _skip_table(data: Buffer) -> int:
    """Bytes of the Basic Offset Table item."""
    if data[:4] != ITEM or len(data) < _HEAD:
        raise PixelError("its Pixel Data does not begin with an item, though the transfer syntax encapsulates it")
    length: int = struct.unpack_from("<L", data, 4)[0]
    return _HEAD + length


def _join_items(data: Buffer, at: int = 0) -> bytes | None:
    """Join the contents of the items from `at` to a delimiter or the end; None where they are cut off or no items."""
    contents = []
    while at < len(data):
        tag = data[at : at + 4]
        if tag == DELIMITER:
            break
        if tag != ITEM or at + _HEAD > len(data):
            return None
        stop = at + _HEAD + struct.unpack_from("<L", data, at + 4)[0]
        if stop > len(data):
            return None
        contents.append(data[at + _HEAD : stop])
        at = stop
    return b"".join(contents) if any(contents) else None


def _read_by_extended_table(layout: Encapsulation, wanted: Sequence[int]) -> Steps[Frames]:
    """One fragment a frame, behind a basic table that is empty (PS3.3 C.7.6.3.1.8)."""
    starts = {frame: layout.start + _HEAD + layout.offsets[frame] for frame in wanted}
    spans = {frame: ByteRange(start, start + _HEAD + layout.lengths[frame]) for frame, start in starts.items()}
    return (yield from _read_spans(layout, {f: span for f, span in spans.items() if span.stop <= layout.end}))


def _read_spans(layout: Encapsulation, spans: dict[int, ByteRange]) -> Steps[Frames]:
    """Read the items of each span; frames whose span holds anything else are left out."""
    spans = {frame: span for frame, span in spans.items() if layout.start < span.start < span.stop <= layout.end}
    if not spans:
        return {}
    reply = yield tuple(spans.values())
    joined = {frame: _join_items(part) for frame, part in zip(spans, reply.parts, strict=True)}
    return {frame: data for frame, data in joined.items() if data is not None}


def _read_basic_table(layout: Encapsulation) -> Steps[tuple[int, list[int]]]:
    """Where the first fragment's item begins, and the offsets counted from there."""
    stop = layout.start + _HEAD + 4 * layout.number_of_frames
    reply = yield (ByteRange(layout.start, min(stop, layout.end)),)
    data = reply.parts[0]
    table = data[_HEAD : _skip_table(data)]
    offsets = list(struct.unpack(f"<{len(table) // 4}L", table[: len(table) // 4 * 4]))
    for place in range(1, len(offsets)):
        if offsets[place] < offsets[place - 1]:
            offsets[place] += (offsets[place - 1] - offsets[place] + _WRAP) // _WRAP * _WRAP
    return layout.start + _skip_table(data), offsets


def _read_by_basic_table(layout: Encapsulation, base: int, offsets: list[int], wanted: Sequence[int]) -> Steps[Frames]:
    """From one offset to the next. Behind the last frame other elements may follow, so it is read with a limit."""
    starts = [base + offset for offset in offsets[: layout.number_of_frames]]
    if any(start >= stop for start, stop in pairwise(starts)):
        return {}  # tables of zeros are common
    largest = max((stop - start for start, stop in pairwise(starts)), default=0)
    starts.append(min(starts[-1] + 2 * largest + BLOCK, layout.end))
    return (yield from _read_spans(layout, {f: ByteRange(starts[f], starts[f + 1]) for f in wanted}))


def _read_by_walk(layout: Encapsulation, base: int, wanted: Sequence[int]) -> Steps[Frames]:
    """Find the frames from the item headers."""
    fragments, held = yield from _walk(layout, base, wanted[-1])
    groups = _group_fragments(fragments, layout.number_of_frames)
    spans = {f: ByteRange(groups[f][0].start, groups[f][-1].stop) for f in wanted if f < len(groups)}
    blocks = {frame: _take_held(held, span) for frame, span in spans.items()}
    found: Frames = {}
    for frame, block in blocks.items():
        data = _join_items(block) if block is not None else None
        if data is not None:
            found[frame] = data
    found |= yield from _read_spans(layout, {f: span for f, span in spans.items() if blocks[f] is None})
    for frame in wanted:
        found.setdefault(frame, _missing_frame(layout, frame, len(fragments), len(groups)))
    return found


def _missing_frame(layout: Encapsulation, frame: int, n_fragments: int, n_groups: int) -> PixelError:
    place = f"frame {frame + 1} of {layout.number_of_frames}"
    if frame < n_groups:
        return PixelError(f"{place} is empty or damaged")
    if n_fragments > layout.number_of_frames and not n_groups:
        return PixelError(f"{place}: which of its {n_fragments} fragments belong to it is unknown without offset table")
    return PixelError(f"{place} is missing: the object holds {n_groups} whole frames, then it ends or is damaged")


def _walk(layout: Encapsulation, base: int, last: int) -> Steps[tuple[list[_Fragment], list[tuple[int, bytes]]]]:
    """Walk over the items, no further than the frame `last` where each fragment is seen to be a frame.

    Returns:
        The fragments that lie whole in the object, and the blocks of bytes that were read: (first byte, bytes).
    """
    fragments: list[_Fragment] = []
    held: list[tuple[int, bytes]] = []
    position, origin, data = base, base, b""
    is_frame_each = True
    while position + _HEAD <= layout.end and not (is_frame_each and len(fragments) > last + 1):
        reach = origin + len(data)
        if position + _PEEK > reach and reach < layout.end:
            mean = (position - base) / len(fragments) if len(fragments) > 3 else layout.end / layout.number_of_frames
            step = _PEEK if mean >= LARGE_FRAGMENT else BLOCK
            reply = yield (ByteRange(position, min(position + step, layout.end)),)
            origin, data = position, bytes(reply.parts[0])
            if step == BLOCK and len(held) < MAX_HELD // BLOCK:
                held.append((origin, data))
        head = data[position - origin : position - origin + _PEEK]
        if head[:4] != ITEM or len(head) < _HEAD:
            break
        stop = position + _HEAD + struct.unpack_from("<L", head, 4)[0]
        if stop > layout.end:
            break
        fragments.append(_Fragment(position, stop, _opens_frame(head[_HEAD:])))
        is_frame_each = is_frame_each and fragments[-1].opens_frame
        position = stop
    return fragments, held


def _opens_frame(content: bytes) -> bool:
    """Whether a fragment begins as a codestream does; RLE with its number of segments, the first at byte 64 (G.5)."""
    is_rle = content[1:8] == b"\0\0\0\x40\0\0\0" and 1 <= content[0] <= 15
    return is_rle or content.startswith(_STARTS)


def _group_fragments(fragments: list[_Fragment], number_of_frames: int) -> list[list[_Fragment]]:
    """Fragments of each frame, empty where that cannot be told."""
    openers = [place for place, fragment in enumerate(fragments) if fragment.opens_frame]
    is_one_each = len(fragments) == number_of_frames or (
        len(fragments) < number_of_frames and len(openers) in (0, len(fragments))
    )
    if is_one_each:
        return [[fragment] for fragment in fragments]
    if openers and openers[0] == 0:
        bounds = [*openers, len(fragments)]
        return [fragments[first:stop] for first, stop in pairwise(bounds)]
    filled = [fragment for fragment in fragments if fragment.stop - fragment.start > _HEAD]
    return [[fragment] for fragment in filled] if len(filled) <= number_of_frames else []


def _take_held(held: list[tuple[int, bytes]], span: ByteRange) -> bytes | None:
    for origin, data in held:
        if origin <= span.start and span.stop <= origin + len(data):
            return data[span.start - origin : span.stop - origin]
    return None
