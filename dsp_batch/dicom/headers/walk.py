"""Walk from element to element of an object of which only small ranges are fetched."""

from __future__ import annotations

from dataclasses import dataclass, field

from dsp_batch.dicom.headers import cut
from dsp_batch.dicom.headers.elements import (
    BINARY_VRS,
    LARGE_VALUE,
    LITTLE_ENDIAN_HEAD,
    PIXEL_TAGS,
    SHORT_VR_NAMES,
    SMALLEST_ELEMENT,
    UNDEFINED,
    ElementHead,
    Encoding,
    EndSearch,
    NeedMore,
    NoItemError,
    find_creator,
    find_later_end,
    nested_encoding,
    parse_head,
    resolve_vr,
)
from dsp_batch.dicom.headers.shared import ParsedElements, SharedElementTable
from dsp_batch.dicom.headers.sparse_items import SPARSE_SEQUENCES, ItemWalk
from dsp_batch.errors import HeaderError
from dsp_batch.model.ranges import ByteRange, Reader
from dsp_batch.model.series import NestedValue, RawElement

FIRST_RANGE = 16 * 1024
"""Bytes of the first request. Most CT and PET and many MR instances have their whole header in it."""

_LARGEST_SHARED = 16 * 1024
"""Bytes of the longest element that headers share. Longer ones are parsed in each: keeping them costs more memory than
it saves time."""

_MAX_GROWTH = 4 << 20
"""Largest number of bytes that a request may ask for beyond what is known to be needed."""

_MAX_REPEATED = 64 << 20
"""Largest number of bytes that a request adds to an element whose end is still unknown."""

_MOST_ELEMENTS = 1 << 16
"""Largest number of elements of a header without those in sequences. Real ones have hundreds."""

_STRETCH = 1 << 20
"""Bytes after which the elements are counted."""

_MAX_PADDING = 64 * 1024
"""Largest number of zeros that may follow the last element. More mean that the rest of the file never arrived."""


Setting = tuple[Encoding, int, frozenset[int] | None]
"""Encoding, last group, and tags of wanted large values: what decides, besides the bytes, how an element is read."""

_PLAIN = Encoding()


@dataclass(slots=True)
class SparseWalk:
    """One pass over an object: the part of it that is in memory, and the elements found so far."""

    data: bytes
    """The part of the object that is in memory."""

    size: int
    """Number of bytes of the object."""

    elements: dict[int, RawElement] = field(default_factory=dict)
    """The elements found so far, by tag."""

    bulk: frozenset[int] | None = frozenset()
    """Tags whose values are wanted however large they are; None for all."""

    shared: dict[Setting, SharedElementTable] = field(default_factory=dict)
    """The elements that other headers of the series have shown to be shared."""

    base: int = 0
    """Position of `data` in the object."""

    growth: int = FIRST_RANGE
    """Bytes that the next request asks for, at least."""

    left_out: int | None = None
    """First byte of the last value that was not read."""

    first_used: int | None = None
    """Bytes of the first request that were needed, once there was a second one."""

    padding: int = 0
    """Number of zeros skipped."""

    without_vr: list[int] = field(default_factory=list)
    """Tags of elements of an explicit dataset that name no known VR."""

    damaged: list[int] = field(default_factory=list)
    """Tags of sequences of undefined length whose items are damaged."""

    shortened: list[int] = field(default_factory=list)
    """Tags of sequences of which only the first part was read."""

    nested: list[NestedValue] = field(default_factory=list)
    """Values within sequences that were not read."""

    read_whole: set[int] = field(default_factory=set)
    """Bytes where sequences begin whose items are damaged: they are read like any other element."""

    end_search: tuple[tuple[int, Encoding], EndSearch] | None = None
    """The last search for the end of a value of undefined length: where it begins, its encoding, and how far it is."""

    def restrain(self) -> None:
        """Let the next request ask for little beyond what is needed."""
        self.growth = FIRST_RANGE

    def fetch(self, start: int, stop: int) -> Reader[None]:
        """Read [start, stop) and some more into memory, and keep what is in memory from `start` on."""
        if stop > self.size:
            raise HeaderError(f"the object ends at byte {self.size}, inside an element that reaches to byte {stop}")
        kept = self.data[start - self.base :]
        begin = start + len(kept)
        if begin >= stop:
            self.data, self.base = kept, start
            return
        # As much again as there is of an element that is not whole yet, because its items are walked over again then.
        end = min(max(stop, begin + max(self.growth, min(len(kept), _MAX_REPEATED))), self.size)
        self.growth = min(max(self.growth, FIRST_RANGE) * 2, _MAX_GROWTH)
        if self.first_used is None:
            self.first_used = FIRST_RANGE if kept or self.left_out is None else self.left_out
        reply = yield (ByteRange(begin, end),)
        self.data, self.base = kept + reply.parts[0], start
        if len(self.data) < end - start:
            raise HeaderError(f"the object ends at byte {start + len(self.data)} though it was listed with {self.size}")

    def run(
        self, position: int, encoding: Encoding, last_group: int = 0xFFFF
    ) -> Reader[tuple[int, ElementHead | None]]:
        """Walk to Pixel Data, to the end of the object, or to the first element of a group after `last_group`.

        Returns:
            The byte where the walk stopped, and the head of Pixel Data, its start counted from the start of the object.
        """
        setting = (encoding, last_group, self.bulk)
        table = self.shared.get(setting) or self.shared.setdefault(setting, SharedElementTable())
        table.add_parsed()
        while position < self.size:
            position, head, needed = self._walk_in_memory(position, encoding, last_group, table)
            self._check_count(len(self.elements))
            if head is not None and head.tag in SPARSE_SEQUENCES:
                position = yield from self._take_items(position, head, encoding)
                continue
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

    def _take_items(self, position: int, head: ElementHead, encoding: Encoding) -> Reader[int]:
        """Take a sequence without the large values in its items, and return where it ends."""
        items = ItemWalk(self)
        try:
            value, end = yield from items.read_items(head, encoding)
        except HeaderError:
            self.read_whole.add(position)
            self.data, self.base = b"", position
            return position
        self.elements[head.tag] = RawElement("SQ", value, len(value))
        self.nested += items.left_out
        return end

    def _walk_in_memory(
        self, position: int, encoding: Encoding, last_group: int, table: SharedElementTable
    ) -> tuple[int, ElementHead | None, int | None]:
        """Walk as far as the bytes in memory allow.

        Returns:
            The byte where the walk stopped; the head of the element that ended it, if one did; the byte that the
            memory has to reach to go on, if it ended too early.
        """
        data, base = self.data, self.base
        parsed = ParsedElements(data, [], {})
        at = position - base
        limit = min(len(data), at + _STRETCH)
        try:
            while (at := table.reuse(data, at, self.elements)) + base < self.size:
                if at >= limit:
                    self._check_count(max(len(self.elements), len(parsed.found)))
                    limit = min(len(data), at + _STRETCH)
                if encoding == _PLAIN and at < (at := self._take_short(at, limit, last_group, table, parsed)):
                    continue
                head = parse_head(data, at, encoding, self.size - base)
                if head.tag in PIXEL_TAGS or head.tag >> 16 > last_group:
                    return at + base, head._replace(start=head.start + base), None
                if head.tag in SPARSE_SEQUENCES and self.bulk is not None and at + base not in self.read_whole:
                    return at + base, head._replace(start=head.start + base), None
                at = self._take(at, head, encoding, table, parsed) if head.tag else self._skip_padding(at)
        except NeedMore as need:
            return at + base, None, need.stop + base
        finally:
            table.set_aside(parsed)
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

    def _check_count(self, count: int) -> None:
        if count > _MOST_ELEMENTS:
            raise HeaderError(f"it has more than {_MOST_ELEMENTS} elements", "too-large")

    def _take_short(
        self, at: int, limit: int, last_group: int, table: SharedElementTable, parsed: ParsedElements
    ) -> int:
        """Parse elements of explicit VR little endian that need no special care, up to `limit`: nearly all of a header.

        Returns:
            First byte of the first element that is not whole, has a long VR or none, belongs to a later group, or is
            shared.
        """
        data, elements, by_tag, found = self.data, self.elements, table.by_tag, parsed.found
        unpack, names, build = LITTLE_ENDIAN_HEAD.unpack_from, SHORT_VR_NAMES, tuple.__new__
        while at + 8 <= limit:
            group, number, vr_bytes, length = unpack(data, at)
            vr, stop, key = names.get(vr_bytes), at + 8 + length, data[at : at + 4]
            if vr is None or stop > limit or group > last_group or by_tag.get(key):
                break
            tag = group << 16 | number
            element = build(RawElement, (vr, data[at + 8 : stop], length)) if number else None
            if element:
                elements[tag] = element
            if key not in by_tag:
                found.append((at, stop, tag, element))
            at = stop
        return at

    def _find_end(self, head: ElementHead, encoding: Encoding) -> tuple[int, bool]:
        """Find the end of a value of undefined length, and tell whether it is whole: a damaged one hides no other."""
        size = self.size - self.base
        begun = (self.base + head.start, nested_encoding(encoding, head.vr))
        if self.end_search is None or self.end_search[0] != begun:
            self.end_search = begun, EndSearch(begun[1])
        try:
            return self.end_search[1].run(self.data, head.start, size), True
        except NeedMore:
            if head.vr != "SQ" or len(self.data) - head.start < cut.LONGEST_VALUE or not self._may_cut(head.tag):
                raise
            return size, False  # its end would have to be looked for in all of the object
        except NoItemError:
            end = find_later_end(self.data, head, encoding, size)
            if end is None:
                raise
        self.damaged.append(head.tag)
        return end, False

    def _take(
        self, at: int, head: ElementHead, encoding: Encoding, table: SharedElementTable, parsed: ParsedElements
    ) -> int:
        """Parse the element at `at` and return where it ends, which may lie beyond the bytes in memory."""
        tag, vr, start, length = head
        is_certain = vr != "" or encoding.implicit_vr
        if not is_certain:
            self.without_vr.append(tag)
        if vr in ("", "UN"):
            _, creator = parsed.creators[at] = find_creator(tag, self.elements)
            vr = resolve_vr(head, creator)
        end = start + length
        if length == UNDEFINED:
            end, is_whole = self._find_end(head, encoding)
            is_certain = is_certain and is_whole
        if end - start > cut.LONGEST_VALUE and vr in cut.CUT_VRS and self._may_cut(tag):
            return self._cut_value(head._replace(vr=vr), nested_encoding(encoding, head.vr), end)
        if end - start > LARGE_VALUE and vr in BINARY_VRS and self.bulk is not None and tag not in self.bulk:
            self.left_out = self.base + start
            self.elements[tag] = RawElement(vr, None, end - start)
            return end
        if end > len(self.data):
            raise NeedMore(end)
        element = RawElement(vr, self.data[start:end], end - start) if tag & 0xFFFF else None
        if element:
            self.elements[tag] = element
        # Where the VR is unknown, what follows has decided the length: such bytes tell nothing about other headers.
        if is_certain and end - at <= _LARGEST_SHARED and self.data[at : at + 4] not in table.by_tag:
            parsed.found.append((at, end, tag, element))
        return end

    def _may_cut(self, tag: int) -> bool:
        return self.bulk is not None and tag not in cut.UNCUT

    def _cut_value(self, head: ElementHead, encoding: Encoding, end: int) -> int:
        """Take the first part of a sequence or text that is too long, and return where the walk goes on."""
        stop = head.start + cut.LONGEST_VALUE
        if stop > len(self.data):
            raise NeedMore(stop)
        first = self.data[head.start : stop]
        value = cut.cut_sequence(first, encoding) if head.vr == "SQ" else cut.cut_text(first)
        self.elements[head.tag] = RawElement(head.vr, value, len(value))
        self.shortened.append(head.tag)
        return end
