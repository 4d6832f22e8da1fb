"""The sparse walk: from element to element of an object of which only small ranges are fetched."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from dsp_batch.dicom.headers.elements import (
    BINARY_VRS,
    LITTLE_ENDIAN_HEAD,
    PIXEL_TAGS,
    SHORT_VR_NAMES,
    SMALLEST_ELEMENT,
    UNDEFINED,
    ElementHead,
    Encoding,
    NeedMore,
    find_creator,
    find_end,
    nested_encoding,
    parse_head,
    resolve_vr,
)
from dsp_batch.dicom.headers.shared import Lesson, Stretches
from dsp_batch.errors import HeaderError
from dsp_batch.model.ranges import ByteRange, Reply, T
from dsp_batch.model.series import RawElement

FIRST_RANGE = 16 * 1024
"""Bytes of the first request: the whole header of most CT, PET and many MR instances."""

LARGE_VALUE = 16 * 1024
"""Binary values longer than this stay in the object unless asked for."""

_LARGEST_SHARED = 16 * 1024
"""Elements longer than this are parsed in each header: what they hold in memory is worth more than the time."""

_MAX_GROWTH = 4 << 20
"""Bytes that one further request may add beyond what is known to be needed."""

_MAX_PADDING = 64 * 1024
"""Zeros that may follow the last element; more are a file whose bytes never arrived."""

Steps = Generator[Sequence[ByteRange], Reply, T]

Setting = tuple[Encoding, int, frozenset[int] | None]
"""What decides, besides the bytes, how an element is read: the encoding, the last group, the large values wanted."""

_PLAIN = Encoding()


@dataclass(slots=True)
class SparseWalk:
    """One pass over an object: the part of it that is in hand, and the elements found so far."""

    data: bytes
    size: int
    elements: dict[int, RawElement] = field(default_factory=dict)
    bulk: frozenset[int] | None = frozenset()
    shared: dict[Setting, Stretches] = field(default_factory=dict)
    """What is known from other headers of the series."""

    base: int = 0
    growth: int = FIRST_RANGE
    left_out: int | None = None
    """Where the last value begins that was left in the object."""

    first_used: int | None = None
    """Bytes of the first request that were needed, once there was a second one."""

    padding: int = 0
    """Zeros skipped."""

    def fetch(self, start: int, stop: int) -> Steps[None]:
        """Bring [start, stop) and some more into hand, keeping what there is from `start` on."""
        if stop > self.size:
            raise HeaderError(f"the object ends at byte {self.size}, inside an element that reaches to byte {stop}")
        kept = self.data[start - self.base :]
        begin = start + len(kept)
        if begin >= stop:
            self.data, self.base = kept, start
            return
        end = min(max(stop, begin + self.growth), self.size)
        self.growth = min(max(self.growth, FIRST_RANGE) * 2, _MAX_GROWTH)
        if self.first_used is None:
            self.first_used = FIRST_RANGE if kept or self.left_out is None else self.left_out
        reply = yield (ByteRange(begin, end),)
        self.data, self.base = kept + reply.parts[0], start
        if len(self.data) < end - start:
            raise HeaderError(f"the object ends at byte {start + len(self.data)} though it was listed with {self.size}")

    def run(self, position: int, encoding: Encoding, last_group: int = 0xFFFF) -> Steps[tuple[int, ElementHead | None]]:
        """Walk to Pixel Data, to the end of the object, or to the first element of a group behind `last_group`.

        Returns:
            Where the walk stopped, and the head of Pixel Data, its start counted from the start of the object.
        """
        setting = (encoding, last_group, self.bulk)
        stretches = self.shared.get(setting) or self.shared.setdefault(setting, Stretches())
        stretches.learn()
        while position < self.size:
            position, head, needed = self._walk_in_hand(position, encoding, last_group, stretches)
            if head is not None:
                return position, head if head.tag in PIXEL_TAGS else None
            if needed is None:
                break
            if self.size - position < SMALLEST_ELEMENT:
                yield from self.fetch(position, self.size)
                if not self.data.strip(b"\0"):
                    return position, None  # less than an element of zeros: padding, not damage
            yield from self.fetch(position, needed)
        if position > self.size:
            raise HeaderError(f"the object ends at byte {self.size}, inside an element that reaches to byte {position}")
        return position, None

    def _walk_in_hand(
        self, position: int, encoding: Encoding, last_group: int, stretches: Stretches
    ) -> tuple[int, ElementHead | None, int | None]:
        """Walk as far as the bytes in hand allow.

        Returns:
            Where the walk stopped; the head of the element that ends it, if one does; how far the bytes have to reach
            to go on, where they end too early.
        """
        data, base = self.data, self.base
        lesson = Lesson(data, [], {})
        at = position - base
        try:
            while (at := stretches.take_over(data, at, self.elements)) + base < self.size:
                if encoding == _PLAIN and at < (at := self._take_short(at, last_group, stretches, lesson)):
                    continue
                head = parse_head(data, at, encoding)
                if head.tag in PIXEL_TAGS or head.tag >> 16 > last_group:
                    return at + base, head._replace(start=head.start + base), None
                at = self._take(at, head, encoding, stretches, lesson) if head.tag else self._skip_padding(at)
        except NeedMore as need:
            return at + base, None, need.stop + base
        finally:
            stretches.learn_later(lesson)
        return at + base, None, None

    def _skip_padding(self, at: int) -> int:
        """Skip the zeros at `at`, 8 or more, in steps of 8; return where they end."""
        rest = self.data[at : at + _MAX_PADDING]
        zeros = len(rest) - len(rest.lstrip(b"\0"))
        self.padding += zeros
        if self.padding > _MAX_PADDING:
            begin = self.base + at - self.padding + zeros
            raise HeaderError(f"nothing but zeros follows byte {begin}: it is damaged")
        return at + max(zeros - zeros % SMALLEST_ELEMENT, SMALLEST_ELEMENT)

    def _take_short(self, at: int, last_group: int, stretches: Stretches, lesson: Lesson) -> int:
        """Take up elements of explicit VR little endian as long as nothing about them is special: the bulk of a header.

        Returns:
            Where the first element begins that is not whole, has a long VR or none, belongs to a later group, or is in
            a stretch.
        """
        data, elements, holding, found = self.data, self.elements, stretches.holding, lesson.found
        unpack, names, build, end = LITTLE_ENDIAN_HEAD.unpack_from, SHORT_VR_NAMES, tuple.__new__, len(data)
        while at + 8 <= end:
            group, number, vr_bytes, length = unpack(data, at)
            vr, stop, key = names.get(vr_bytes), at + 8 + length, data[at : at + 4]
            if vr is None or stop > end or group > last_group or holding.get(key):
                break
            tag = group << 16 | number
            element = build(RawElement, (vr, data[at + 8 : stop], length)) if number else None
            if element:
                elements[tag] = element
            if key not in holding:
                found.append((at, stop, tag, element))
            at = stop
        return at

    def _take(self, at: int, head: ElementHead, encoding: Encoding, stretches: Stretches, lesson: Lesson) -> int:
        """Take up the element at `at` and return where it ends, which may lie beyond what is in hand."""
        tag, vr, start, length = head
        if vr in ("", "UN"):
            _, creator = lesson.creators[at] = find_creator(tag, self.elements)
            vr = resolve_vr(head, creator)
        end = start + length
        if length == UNDEFINED:
            end = find_end(self.data, start, nested_encoding(encoding, head.vr))
        if end - start > LARGE_VALUE and vr in BINARY_VRS and self.bulk is not None and tag not in self.bulk:
            self.left_out = self.base + start
            self.elements[tag] = RawElement(vr, None, end - start)
            return end
        if end > len(self.data):
            raise NeedMore(end)
        element = RawElement(vr, self.data[start:end], end - start) if tag & 0xFFFF else None
        if element:
            self.elements[tag] = element
        if end - at <= _LARGEST_SHARED and self.data[at : at + 4] not in stretches.holding:
            lesson.found.append((at, end, tag, element))
        return end
