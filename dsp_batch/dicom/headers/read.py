"""Read headers by small ranges, and make sure that each is complete.

A header ends where Pixel Data begins or where the object ends. Anything else is a truncated object, never a short
header. A parser that stops wherever its bytes stop would call half a header complete.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from dsp_batch.dicom.headers import cut
from dsp_batch.dicom.headers.checks import check_elements, check_frames
from dsp_batch.dicom.headers.elements import UNDEFINED, ElementHead, Encoding, format_tag
from dsp_batch.dicom.headers.inflate import InflatedData, count_inflated, inflate
from dsp_batch.dicom.headers.shared import SharedElementTable
from dsp_batch.dicom.headers.walk import FIRST_RANGE, Setting, SparseWalk
from dsp_batch.dicom.syntaxes import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    GE_PRIVATE_BIG,
    IMPLICIT_LITTLE,
    escape_controls,
    is_native,
)
from dsp_batch.errors import HeaderError
from dsp_batch.model.ranges import ByteRange, Reader, T
from dsp_batch.model.series import InstanceHeader

WHOLE_OBJECT = 32 * 1024
"""Bytes of the largest object that is read whole: a second request would cost more than the bytes."""

_DETECTED = {(implicit, big): Encoding(implicit, big) for implicit in (False, True) for big in (False, True)}
"""Encodings by what the first element tells: implicit VR, big endian."""

_DEFAULT = _DETECTED[False, False]
_ENCODINGS = {
    IMPLICIT_LITTLE: _DETECTED[True, False],
    GE_PRIVATE_BIG: _DETECTED[True, False],
    EXPLICIT_BIG: _DETECTED[False, True],
}
_GUESSED_SYNTAX = {
    _DETECTED[True, False]: IMPLICIT_LITTLE,
    _DEFAULT: EXPLICIT_LITTLE,
    _DETECTED[False, True]: EXPLICIT_BIG,
    _DETECTED[True, True]: EXPLICIT_BIG,
}
META_GROUP = 0x0002
_SOP_CLASS_UID, _SOP_INSTANCE_UID, _ROWS = 0x00080016, 0x00080018, 0x00280010
_INSTANCE_TAGS = frozenset({_SOP_CLASS_UID, _SOP_INSTANCE_UID, _ROWS})
"""Tags of which an instance has at least one."""

_TRANSFER_SYNTAX_UID = 0x00020010

_ALL_GROUPS = 0xFFFF
_LAST_IDENTITY_GROUP = 0x0020
"""Group of the Series Instance UID, the Series Number and the Instance Number."""

_IDENTITY_RANGE = 8 * 1024
"""Bytes of the first request for what identifies an instance: the elements up to group 0020 take 2 to 4 KB, more where
private ones are among them."""


@dataclass(slots=True)
class HeaderHint:
    """Sizes and elements of the headers of a series that were read, which help to read the others.

    The instances of a series have nearly the same elements. So a series with headers of 6 KB needs no requests of 16
    KB, and elements that are the same in all headers are parsed once.
    """

    first: int = FIRST_RANGE
    """Bytes of the first request."""

    more: int = FIRST_RANGE
    """Bytes of a request that continues after a large value."""

    shared: dict[Setting, SharedElementTable] = field(default_factory=dict)
    """The elements that headers share."""

    _first_used: int = 0
    _more_used: int = 0

    def learn(self, first_used: int, more_used: int) -> None:
        """Note how many bytes a header used of its first request, and of one that continued after a large value."""
        self._first_used = max(self._first_used, first_used)
        self._more_used = max(self._more_used, more_used)
        self.first = min(_round_up(self._first_used), FIRST_RANGE)
        if self._more_used:
            self.more = min(_round_up(self._more_used), FIRST_RANGE)


def _round_up(used: int) -> int:
    """Add a few hundred bytes to the longest header so far, and round up to 512 bytes."""
    return (used + 256 + 511) // 512 * 512


def read_header(
    name: str,
    size: int | None,
    *,
    bulk: frozenset[int] | None = frozenset(),
    hint: HeaderHint | None = None,
) -> Reader[InstanceHeader]:
    """Read the header of one object by small ranges.

    Args:
        name: Object name, for the result.
        size: Number of bytes of the object as listed; None where unknown.
        bulk: Tags whose values are wanted however large they are; None for all.
        hint: A hint that all headers of a series share, and that each improves; None for none.

    Returns:
        A reader of the header, up to Pixel Data or the end of the object.

    Raises:
        HeaderError: The object is empty, no DICOM, truncated or damaged, or is no instance: it has neither
            SOP Class UID, SOP Instance UID nor Rows.
    """
    hint = hint or HeaderHint()
    first = WHOLE_OBJECT if size is not None and size <= WHOLE_OBJECT else hint.first
    reply = yield (ByteRange(0, first),)
    if not reply.parts[0]:
        raise HeaderError("the object is empty", "not-dicom")
    walk = SparseWalk(
        data=bytes(reply.parts[0]),
        size=reply.size,
        bulk=bulk,
        shared=hint.shared,
        growth=hint.more,
    )
    header = yield from _read_header(name, walk)
    end = header.pixel_data_offset or header.fragments_offset or header.size
    more_used = end - walk.base if walk.base and walk.first_used != FIRST_RANGE else 0
    hint.learn(end if walk.first_used is None else walk.first_used, more_used)
    if not header.elements.keys() & _INSTANCE_TAGS:
        raise _no_instance()
    return header


def read_identity(name: str, size: int | None) -> Reader[InstanceHeader]:
    """Read the beginning of a header, up to group 0020: what tells which series an object belongs to.

    Args:
        name: Object name, for the result.
        size: Number of bytes of the object as listed; None where unknown.

    Returns:
        A reader of the elements up to group 0020. Pixel Data is not looked for.

    Raises:
        HeaderError: As in `read_header`, as far as the object is read.
    """
    reply = yield (ByteRange(0, _IDENTITY_RANGE if size is None else min(size, _IDENTITY_RANGE)),)
    if not reply.parts[0]:
        raise HeaderError("the object is empty", "not-dicom")
    walk = SparseWalk(data=bytes(reply.parts[0]), size=reply.size)
    header = yield from _read_header(name, walk, _LAST_IDENTITY_GROUP)
    if not header.elements.keys() & _INSTANCE_TAGS:
        raise _no_instance()
    return header


def _no_instance() -> HeaderError:
    return HeaderError("it has neither SOP Class UID, SOP Instance UID nor Rows", "not-dicom")


def _read_header(name: str, walk: SparseWalk, last_group: int = _ALL_GROUPS) -> Reader[InstanceHeader]:
    size = walk.size
    start, _ = yield from walk.run(_find_start(walk.data), Encoding(), last_group=META_GROUP)
    declared_syntax = walk.elements.get(_TRANSFER_SYNTAX_UID)
    syntax = escape_controls(declared_syntax.text) if declared_syntax else ""
    inflated: InflatedData | None = None
    notes: list[str] = []
    if syntax == DEFLATED:
        yield from walk.fetch(start, size)
        inflated = inflate(walk.data)
        notes += inflated.notes
    if inflated is not None and not inflated.is_plain:
        walk, start = replace(walk, data=inflated.data, size=len(inflated.data), base=0), 0
    elif start + 8 > walk.base + len(walk.data):
        yield from walk.fetch(start, min(start + 8, size))
    declared = _ENCODINGS.get(syntax, _DEFAULT) if syntax else None
    encoding = _check_encoding(declared, walk.data[start - walk.base :][:8])
    if declared is not None and declared is not encoding:
        notes.append(f"The dataset is in {encoding.name}, though {declared.name} is declared")
        syntax = _correct_syntax(syntax, declared, encoding)
    reader = _walk(walk, start, encoding, last_group)
    pixels = yield from (_within_kept(reader, inflated) if inflated else reader)
    notes += check_elements(walk.elements)
    if walk.without_vr:
        what = "without a known VR: read with the length that leads to the next one"
        notes.append(_describe_elements(walk.without_vr, what))
    if walk.damaged:
        notes.append(_describe_elements(walk.damaged, "with damaged items: left out"))
    if walk.shortened:
        what = f"longer than {cut.LONGEST_VALUE >> 20} MiB: only the first part is read"
        notes.append(_describe_elements(walk.shortened, what))
    end = count_inflated(inflated, _find_end(pixels)) if inflated else size
    notes += check_frames(walk.elements, end - (pixels.start if pixels else 0))
    if inflated is not None and not inflated.is_plain:
        pixels = None  # it has no place in the object
    is_native_data = pixels is not None and pixels.length != UNDEFINED
    return InstanceHeader(
        name=name,
        size=size,
        transfer_syntax_uid=syntax or _GUESSED_SYNTAX[encoding],
        elements=walk.elements,
        implicit_vr=encoding.implicit_vr,
        big_endian=encoding.big_endian,
        pixel_data_offset=pixels.start if pixels and is_native_data else None,
        pixel_data_length=pixels.length if pixels and is_native_data else None,
        fragments_offset=pixels.start if pixels and not is_native_data else None,
        nested=tuple(walk.nested),
        notes=tuple(notes),
    )


def _correct_syntax(syntax: str, declared: Encoding, encoding: Encoding) -> str:
    """Give native pixels the transfer syntax of the byte order that the header has, whatever is declared."""
    is_swapped = declared.big_endian != encoding.big_endian and is_native(syntax)
    return _GUESSED_SYNTAX[encoding] if is_swapped else syntax


def _walk(walk: SparseWalk, start: int, encoding: Encoding, last_group: int) -> Reader[ElementHead | None]:
    """Walk to the end of a group, and to Pixel Data where it has not shown that the object is an instance."""
    stop, pixels = yield from walk.run(start, encoding, last_group)
    if last_group != _ALL_GROUPS and not walk.elements.keys() & _INSTANCE_TAGS:
        _, pixels = yield from walk.run(stop, encoding)  # Rows alone would do
    return pixels


def _within_kept(reader: Reader[T], inflated: InflatedData) -> Reader[T]:
    """Walk over a deflated dataset, which must reach Pixel Data within the part of it that was kept."""
    try:
        return (yield from reader)
    except HeaderError as error:
        if inflated.is_whole:
            raise
        limit = len(inflated.data) >> 20
        raise HeaderError(f"the header of the deflated dataset is larger than {limit} MB", "too-large") from error


def _find_end(pixels: ElementHead | None) -> int | None:
    return None if pixels is None or pixels.length == UNDEFINED else pixels.start + pixels.length


def _describe_elements(tags: list[int], what: str) -> str:
    first, *others = dict.fromkeys(tags)
    more = f" and {len(others)} more elements" if others else ""
    return f"{format_tag(first)}{more} {what}"


def _find_start(data: bytes) -> int:
    """Find the first byte of the file meta information, or of a dataset without any (PS3.10 7.1)."""
    begins_with_element = data[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08")
    if data[128:132] == b"DICM" and not (begins_with_element and data[4:6].isalpha()):
        return 132
    if data[:4] == b"DICM":
        return 4
    if begins_with_element:
        return 0
    raise HeaderError("it has no DICM prefix and does not begin with a DICOM element", "not-dicom")


def _check_encoding(declared: Encoding | None, data: bytes) -> Encoding:
    """Compare the declared encoding with the first element: headers that declare a wrong one are common.

    Its group is below 0100, so one byte of it is 0, and tells the byte order.
    """
    if len(data) < 8:
        return declared or _DEFAULT
    big_endian = declared.big_endian if declared else data[0] == 0
    if (data[0] == 0) != (data[1] == 0):
        big_endian = data[0] == 0
    explicit = data[4:6].isalpha() and data[4:6].isupper()
    return _DETECTED[not explicit, big_endian]


class InflatedObject(NamedTuple):
    """A deflated object, for its pixels."""

    dataset: InflatedData
    """The dataset, explicit VR little endian."""

    size: int
    """Number of bytes of the whole dataset."""

    pixels: ElementHead | None
    """The head of its Pixel Data; None where there is none."""


def read_inflated() -> Reader[InflatedObject]:
    """Read a deflated object whole, for its pixels.

    Raises:
        HeaderError: The object is not deflated, it is damaged, or its header is too large.
    """
    reply = yield (ByteRange(0, WHOLE_OBJECT),)
    walk = SparseWalk(data=bytes(reply.parts[0]), size=reply.size)
    start, _ = yield from walk.run(_find_start(walk.data), Encoding(), last_group=META_GROUP)
    if start < walk.size:
        yield from walk.fetch(start, walk.size)
    dataset = inflate(walk.data)
    inner = SparseWalk(data=dataset.data, size=len(dataset.data))
    _, pixels = yield from _within_kept(inner.run(0, Encoding()), dataset)
    return InflatedObject(dataset, count_inflated(dataset, _find_end(pixels)), pixels)
