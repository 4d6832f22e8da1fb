"""Read frames of encapsulated Pixel Data: find the fragments that make up each of them (PS3.5 A.4)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from dsp_batch.dicom.pixels.signature import opens_codestream
from dsp_batch.errors import PixelError
from dsp_batch.model.ranges import Buffer, ByteRange, Reader

FrameBytes = dict[int, Buffer | PixelError]
"""The bytes of each frame, by frame number from 0, or the error that says why there are none."""

ITEM = b"\xfe\xff\x00\xe0"
DELIMITER = b"\xfe\xff\xdd\xe0"

BLOCK = 1 << 20
"""Number of bytes read at once while walking over small fragments: about what a store sends during a round trip."""

LARGE_FRAGMENT = 256 << 10
"""Number of bytes from which on fragments are walked over by their item headers alone."""

MAX_HELD = 32 << 20
"""Largest number of bytes of walked blocks that are kept, so that frames in them need no second request."""

_HEAD = 8
_PEEK = 32
"""Number of bytes read of an item on such a walk: its header and the beginning of its content."""

_WRAP = 1 << 32
"""Number of values of a basic offset. It has 32 bit, and writers of larger objects let it overflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encapsulation:
    """The positions of the items of an object's Pixel Data."""

    start: int
    """First byte of the Basic Offset Table item."""

    end: int
    """First byte after the last item: the end of the object, or of an element of defined length."""

    number_of_frames: int
    offsets: tuple[int, ...] = ()
    """Values of the Extended Offset Table; empty where there is none."""

    lengths: tuple[int, ...] = ()
    """Values of the Extended Offset Table Lengths; empty where there are none."""


class _Fragment(NamedTuple):
    start: int
    """First byte of the item that holds the fragment, header included."""

    stop: int
    """First byte after the item."""

    opens_frame: bool
    """True where the content begins as a codestream does."""


def read_fragments(layout: Encapsulation, wanted: Sequence[int]) -> Reader[FrameBytes]:
    """Read the codestreams of some frames.

    The extended offset table is tried first, then the basic one; an entry counts only if it points to an item. Frames
    that neither finds are looked for by walking over the item headers.

    Args:
        layout: The positions of the items.
        wanted: Frame numbers from 0, ascending, all below the number of frames.

    Returns:
        A reader of the codestream of each frame, or an error in its stead.

    Raises:
        PixelError: Pixel Data does not begin with an item.
    """
    if layout.number_of_frames == 1:
        return {0: (yield from _read_only_frame(layout))}
    found: FrameBytes = {}
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


def _read_only_frame(layout: Encapsulation) -> Reader[bytes | PixelError]:
    """Read all fragments as one frame, whatever an offset table says."""
    reply = yield (ByteRange(layout.start, layout.end),)
    data = reply.parts[0]
    frame = _join_items(data, _skip_table(data), may_be_cut=True)
    return PixelError("its pixels are cut off or damaged within an item") if frame is None else frame


def _skip_table(data: Buffer) -> int:
    """Compute the number of bytes of the Basic Offset Table item."""
    if data[:4] != ITEM or len(data) < _HEAD:
        raise PixelError("its Pixel Data does not begin with an item, though the transfer syntax encapsulates it")
    length: int = struct.unpack_from("<L", data, 4)[0]
    return _HEAD + length


def _join_items(data: Buffer, at: int = 0, *, may_be_cut: bool = False) -> bytes | None:
    """Join the contents of the items from `at` to a delimiter or the end.

    Returns:
        The contents; None if they are no items, or are cut off. Where the object ends with them, at least half of the
        last one is enough: a decoder draws what there is.
    """
    contents = []
    while at < len(data):
        tag = data[at : at + 4]
        if tag == DELIMITER:
            break
        if tag != ITEM or at + _HEAD > len(data):
            return None
        stop = at + _HEAD + struct.unpack_from("<L", data, at + 4)[0]
        if stop > len(data) and not (may_be_cut and _is_half_there(at, stop, len(data))):
            return None
        contents.append(data[at + _HEAD : stop])
        at = stop
    return b"".join(contents) if any(contents) else None


def _is_half_there(start: int, stop: int, end: int) -> bool:
    """Tell whether data that end at `end` have at least half of the content of an item."""
    return 2 * (end - start - _HEAD) >= stop - start - _HEAD > 0


def _read_by_extended_table(layout: Encapsulation, wanted: Sequence[int]) -> Reader[FrameBytes]:
    """Read frames of one fragment each, which an extended table finds; the basic table is empty (PS3.3 C.7.6.3.1.8)."""
    starts = {frame: layout.start + _HEAD + layout.offsets[frame] for frame in wanted}
    spans = {frame: ByteRange(start, start + _HEAD + layout.lengths[frame]) for frame, start in starts.items()}
    return (yield from _read_spans(layout, {f: span for f, span in spans.items() if span.stop <= layout.end}))


def _read_spans(layout: Encapsulation, spans: dict[int, ByteRange]) -> Reader[FrameBytes]:
    """Read the items in the span of each frame, and leave out frames whose span holds anything else."""
    spans = {frame: span for frame, span in spans.items() if layout.start < span.start < span.stop <= layout.end}
    if not spans:
        return {}
    reply = yield tuple(spans.values())
    joined = {
        frame: _join_items(part, may_be_cut=span.stop == layout.end)
        for (frame, span), part in zip(spans.items(), reply.parts, strict=True)
    }
    return {frame: data for frame, data in joined.items() if data is not None}


def _read_basic_table(layout: Encapsulation) -> Reader[tuple[int, list[int]]]:
    """Read the first byte of the first fragment's item, and the offsets that count from it."""
    stop = layout.start + _HEAD + 4 * layout.number_of_frames
    reply = yield (ByteRange(layout.start, min(stop, layout.end)),)
    data = reply.parts[0]
    table = data[_HEAD : _skip_table(data)]
    offsets = list(struct.unpack(f"<{len(table) // 4}L", table[: len(table) // 4 * 4]))
    for frame in range(1, len(offsets)):
        if offsets[frame] < offsets[frame - 1]:
            offsets[frame] += (offsets[frame - 1] - offsets[frame] + _WRAP) // _WRAP * _WRAP
    return layout.start + _skip_table(data), offsets


def _read_by_basic_table(
    layout: Encapsulation, base: int, offsets: list[int], wanted: Sequence[int]
) -> Reader[FrameBytes]:
    """Read from one offset to the next. Other elements may follow the last frame, so it is read up to a limit."""
    starts = [base + offset for offset in offsets[: layout.number_of_frames]]
    if any(start >= stop for start, stop in pairwise(starts)):
        return {}  # tables of zeros are common
    largest = max((stop - start for start, stop in pairwise(starts)), default=0)
    starts.append(min(starts[-1] + 2 * largest + BLOCK, layout.end))
    return (yield from _read_spans(layout, {f: ByteRange(starts[f], starts[f + 1]) for f in wanted}))


def _read_by_walk(layout: Encapsulation, base: int, wanted: Sequence[int]) -> Reader[FrameBytes]:
    """Find the frames from the item headers."""
    fragments, held = yield from _walk(layout, base, wanted[-1])
    groups = _group_fragments(fragments, layout.number_of_frames)
    spans = {f: ByteRange(groups[f][0].start, groups[f][-1].stop) for f in wanted if f < len(groups)}
    blocks = {frame: _take_held(held, span) for frame, span in spans.items()}
    found: FrameBytes = {}
    for frame, block in blocks.items():
        is_last = spans[frame].stop == layout.end
        data = _join_items(block, may_be_cut=is_last) if block is not None else None
        if data is not None:
            found[frame] = data
    found |= yield from _read_spans(layout, {f: span for f, span in spans.items() if blocks[f] is None})
    for frame in wanted:
        found.setdefault(frame, _missing_frame(layout, frame, len(fragments), len(groups)))
    return found


def _missing_frame(layout: Encapsulation, frame: int, n_fragments: int, n_groups: int) -> PixelError:
    name = f"frame {frame + 1} of {layout.number_of_frames}"
    if frame < n_groups:
        return PixelError(f"{name} is empty or damaged")
    if n_fragments > layout.number_of_frames and not n_groups:
        return PixelError(f"{name}: which of its {n_fragments} fragments belong to it is unknown without offset table")
    return PixelError(f"{name} is missing: the object holds {n_groups} whole frames, then it ends or is damaged")


def _walk(layout: Encapsulation, base: int, last: int) -> Reader[tuple[list[_Fragment], list[tuple[int, bytes]]]]:
    """Walk over the items to the end, or to the frame `last` as long as each fragment is a frame.

    Returns:
        The fragments that the object holds whole, and the blocks of bytes that were read: (first byte, bytes).
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
        if stop > layout.end and not _is_half_there(position, stop, layout.end):
            break
        stop = min(stop, layout.end)
        fragments.append(_Fragment(position, stop, opens_codestream(head[_HEAD:])))
        is_frame_each = is_frame_each and fragments[-1].opens_frame
        position = stop
    return fragments, held


def _group_fragments(fragments: list[_Fragment], number_of_frames: int) -> list[list[_Fragment]]:
    """Group the fragments by frame; the result is empty where that cannot be told."""
    openers = [number for number, fragment in enumerate(fragments) if fragment.opens_frame]
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
