"""Find where encoded elements begin and end (PS3.5 7), without decoding their values."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from dsp_batch.dicom.headers.dictionary import is_private, vr_of
from dsp_batch.errors import HeaderError
from dsp_batch.model.series import RawElement

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
DELIMITER_GROUP = 0xFFFE
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Tags of Float Pixel Data, Double Float Pixel Data and Pixel Data, where the header ends."""

LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
"""VRs with a 32-bit length after two reserved bytes (PS3.5 7.1.2)."""

BINARY_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
LARGE_VALUE = 16 * 1024
"""Bytes of the longest binary value that is read without being asked for."""

SMALLEST_ELEMENT = 8
"""Number of bytes of an element without value: tag and length."""

MAX_DEPTH = 32
"""Largest depth of nested sequences; a header that nests deeper is damaged."""

SHORT_VRS = frozenset(
    {"AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM"}
    | {"UI", "UL", "US"}
)
"""VRs with a 16-bit length."""

VR_NAMES = {vr.encode(): vr for vr in SHORT_VRS | LONG_VRS}
SHORT_VR_NAMES = {vr.encode(): vr for vr in SHORT_VRS}
"""VRs as they are encoded: all, and those with a 16-bit length."""

_MOST_DOUBTED = 1 << 16
"""Bytes of the longest value behind which the next element is looked at, to tell how a doubtful length is encoded."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoding of elements: whether they name their VR, and their byte order."""

    implicit_vr: bool = False
    big_endian: bool = False

    @property
    def order(self) -> str:
        """Return the byte order as `struct` writes it."""
        return ">" if self.big_endian else "<"

    @property
    def name(self) -> str:
        """Name the encoding as people do: `explicit VR little endian`."""
        return f"{'implicit' if self.implicit_vr else 'explicit'} VR {'big' if self.big_endian else 'little'} endian"


_EXPLICIT_LITTLE_ENDIAN = Encoding()


class ElementHead(NamedTuple):
    """Tag, VR and length of an element, as encoded."""

    tag: int
    vr: str
    """VR as encoded; empty where the element has none."""

    start: int
    """First byte of the value."""

    length: int
    """Number of bytes of the value, or `UNDEFINED`."""


class NeedMore(Exception):  # noqa: N818  # a signal to the reader, not an error
    """Signal that the bytes end inside an element. They have to reach at least to `stop`."""

    def __init__(self, stop: int) -> None:
        super().__init__(stop)
        self.stop = stop


class NoItemError(HeaderError):
    """Another element takes the place of a sequence item."""


LITTLE_ENDIAN_HEAD = struct.Struct("<HH2sH")
"""Layout of the group, element, VR and length of an element of explicit VR with a short length."""

_LITTLE, _BIG = (tuple(struct.Struct(order + code).unpack_from for code in ("HH2sH", "HHL", "L")) for order in "<>")


def parse_head(data: bytes, at: int, encoding: Encoding, size: int) -> ElementHead:
    """Parse the head of the element at `at`.

    Args:
        data: The bytes in memory of an object or of a nested dataset.
        at: First byte of the element.
        encoding: The encoding of the dataset.
        size: Where the object or the nested dataset ends, counted as `at` is.

    Raises:
        NeedMore: The data end within the head, or before what tells the length of an element without VR.
    """
    if at + 8 > len(data):
        raise NeedMore(at + 8)
    explicit, implicit, long_length = _BIG if encoding.big_endian else _LITTLE
    group, element, vr_bytes, short = explicit(data, at)
    tag = group << 16 | element
    vr = None if encoding.implicit_vr or group == DELIMITER_GROUP else VR_NAMES.get(vr_bytes)
    if vr is None and not encoding.implicit_vr and group != DELIMITER_GROUP:
        return _choose_length(data, at, encoding, size)
    if vr is None:
        return ElementHead(tag, "", at + 8, implicit(data, at)[2])
    if vr not in LONG_VRS:
        return ElementHead(tag, vr, at + 8, short)
    if at + 12 > len(data):
        raise NeedMore(at + 12)
    return ElementHead(tag, vr, at + 12, long_length(data, at + 8)[0])


def _choose_length(data: bytes, at: int, encoding: Encoding, size: int) -> ElementHead:
    """Find the length of an element of an explicit dataset that names no known VR.

    Some writers leave the VR out, so that the length has 32 bits. Others write a VR that is none, such as `--`, with a
    length of 16 bits, or one that came later, with two reserved bytes and 32 bits (PS3.5 7.1.2). The length counts
    that leads to another element, else the first that stays inside the object.
    """
    explicit, implicit, long_length = _BIG if encoding.big_endian else _LITTLE
    group, element, _, short = explicit(data, at)
    tag = group << 16 | element
    heads = [ElementHead(tag, "", at + 8, implicit(data, at)[2]), ElementHead(tag, "", at + 8, short)]
    if short == 0 and at + 12 <= size:
        if at + 12 > len(data):
            raise NeedMore(at + 12)
        heads.append(ElementHead(tag, "", at + 12, long_length(data, at + 8)[0]))
    inside = [head for head in heads if head.length == UNDEFINED or head.start + head.length <= size]
    for head in inside:
        if head.length < _MOST_DOUBTED and _leads_on(data, head, encoding, size):
            return head
    return inside[0] if inside else heads[0]


def _leads_on(data: bytes, head: ElementHead, encoding: Encoding, size: int) -> bool:
    """Tell whether the dataset ends behind an element, or goes on with a higher tag and a known VR or a delimiter."""
    end = head.start + head.length
    if end + 8 > size:
        return end == size
    if end + 8 > len(data):
        raise NeedMore(end + 8)
    group, element, vr_bytes, _ = (_BIG if encoding.big_endian else _LITTLE)[0](data, end)
    if group == DELIMITER_GROUP:
        return (group << 16 | element) in (ITEM_END, SEQUENCE_END)
    return vr_bytes in VR_NAMES and (group << 16 | element) > head.tag


class EndSearch:
    """The search for the end of a value of undefined length, which goes on where its data ended (PS3.5 7.5).

    Each byte is looked at once, however deep sequences are nested in the value and however often more data come.

    Args:
        encoding: The encoding inside the value.
    """

    __slots__ = ("_around", "_done", "_encoding", "_in_item")

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._in_item = False
        self._done = 0  # bytes of the value
        self._around: list[Encoding] = []  # of the items that the present sequence is in, from the outermost

    def run(self, data: bytes, start: int, size: int) -> int:
        """Walk on to the end.

        Args:
            data: As for `parse_head`.
            start: First byte of the value.
            size: As for `parse_head`.

        Returns:
            The first byte after the sequence delimitation item.

        Raises:
            NeedMore: The data end before it.
            NoItemError: Another element takes the place of an item.
            HeaderError: Sequences are nested too deeply.
        """
        while True:
            at = start + self._done
            if at > len(data):
                raise NeedMore(at + SMALLEST_ELEMENT)
            if self._in_item and self._encoding == _EXPLICIT_LITTLE_ENDIAN:
                at = _skip_short(data, at)
                self._done = at - start
            head = parse_head(data, at, self._encoding, size)
            if self._step(head):
                return head.start
            is_open = head.length == UNDEFINED or head.tag in (ITEM_END, SEQUENCE_END)
            self._done = head.start - start + (0 if is_open else head.length)

    def _step(self, head: ElementHead) -> bool:
        """Take one item, delimiter or element, and tell whether it ends the value."""
        tag, vr, _, length = head
        if self._in_item:
            if tag == ITEM_END:
                self._in_item = False
            elif length == UNDEFINED:
                if len(self._around) == MAX_DEPTH:
                    raise HeaderError(f"sequences are nested more than {MAX_DEPTH} deep")
                self._around.append(self._encoding)
                self._encoding, self._in_item = nested_encoding(self._encoding, vr), False
        elif tag == ITEM:
            self._in_item = length == UNDEFINED
        elif tag != SEQUENCE_END:
            raise NoItemError(f"element {format_tag(tag)} stands where a sequence item should")
        elif self._around:
            self._encoding, self._in_item = self._around.pop(), True
        else:
            return True
        return False


def _skip_short(data: bytes, at: int) -> int:
    """Skip elements of explicit VR with a short length. Nearly all are in items; this takes a quarter of the time."""
    last = len(data) - SMALLEST_ELEMENT
    while at <= last:
        group, _, vr, length = LITTLE_ENDIAN_HEAD.unpack_from(data, at)
        if vr not in SHORT_VR_NAMES or group == DELIMITER_GROUP:
            break
        at += SMALLEST_ELEMENT + length
    return at


def find_later_end(data: bytes, head: ElementHead, encoding: Encoding, size: int) -> int | None:
    """Find where a damaged value of undefined length ends: at the first delimitation item that leads to an element.

    Args:
        data: As for `parse_head`.
        head: The head of the damaged element.
        encoding: The encoding of the dataset that it is in.
        size: As for `parse_head`.

    Returns:
        The first byte after the delimitation item; None where there is none within 64 KB.

    Raises:
        NeedMore: The data end before that.
    """
    if encoding.implicit_vr:
        return None  # nothing would tell an element from anything else
    stop = min(head.start + _MOST_DOUBTED, size)
    if stop > len(data):
        raise NeedMore(stop)
    delimiter = struct.pack(f"{encoding.order}HHL", SEQUENCE_END >> 16, SEQUENCE_END & 0xFFFF, 0)
    at = data.find(delimiter, head.start, stop)
    while at >= 0:
        end = at + len(delimiter)
        if _leads_on(data, head._replace(start=end, length=0), encoding, size):
            return end
        at = data.find(delimiter, end, stop)
    return None


def nested_encoding(encoding: Encoding, vr: str) -> Encoding:
    """Find the encoding inside a sequence: implicit little endian where its own VR is UN (PS3.5 6.2.2)."""
    return Encoding(implicit_vr=True) if vr == "UN" else encoding


def find_creator(tag: int, elements: dict[int, RawElement]) -> tuple[int, RawElement | None]:
    """Find the private creator of an element in the same dataset, and its tag; 0 and None for public elements."""
    if not is_private(tag):
        return 0, None
    block = tag & 0xFFFF0000 | tag >> 8 & 0xFF
    return block, elements.get(block)


def resolve_vr(head: ElementHead, creator: RawElement | None) -> str:
    """Look up the VR of an element that does not name it, for a private element by its creator."""
    name = creator.value.decode("ascii", "replace").strip(" \0") if creator and creator.value else None
    vr = vr_of(head.tag, name)
    return "SQ" if vr == "UN" and head.length == UNDEFINED else vr


def format_tag(tag: int) -> str:
    """Format a tag as people write it: `(0028,0010)`."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
