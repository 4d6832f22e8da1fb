"""Share the elements that the headers of a series have in common: they are parsed once.

The instances of a series differ in a dozen elements out of hundreds. The elements between those have the same bytes in
each header. Such shared elements are parsed once and reused in every header that has their bytes where an element
begins: one comparison of bytes instead of parsing a hundred elements.

That is exact, because parsing shared elements depends on nothing but

* their bytes, which are those of whole elements;
* the encoding and the large values wanted: each such setting has a table of its own;
* the private creators before them, where the encoding leaves a VR open: these are compared (PS3.5 7.8.1).

Where bytes differ, the shared elements are split around the element that differs. An element that differs repeatedly is
no longer shared, and is parsed in each header.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dsp_batch.model.series import RawElement

_MOST_ELEMENTS = 64
"""Largest number of elements that are shared together. Splitting them takes time for each of them, and damage may ask
for it anywhere."""

_MOST_VALUES = 3
"""Number of values of an element after which it is no longer shared. The second may be that of all instances but one
localizer at the beginning."""


class SharedElement(NamedTuple):
    """One element that headers share."""

    data: bytes
    """All bytes of the element; the first four are its tag as encoded."""

    tag: int
    element: RawElement | None
    """The parsed element; None for a group length, which no header keeps."""

    creator_tag: int = 0
    """Tag of the private creator that decided the VR of the element; 0 where none did."""

    creator: RawElement | None = None
    """That private creator; None where it is absent."""

    @property
    def key(self) -> bytes:
        """Return the tag as encoded."""
        return self.data[:4]


class SharedElements(NamedTuple):
    """Consecutive elements that headers share, each tag once."""

    data: bytes
    """The bytes of all the elements."""

    parts: Sequence[SharedElement]
    """The elements one by one, in their order."""

    elements: dict[int, RawElement]
    """The parsed elements by tag, in their order. They are never modified, and headers share them."""

    creators: Sequence[tuple[int, RawElement | None]]
    """Tags and elements of the private creators before these elements that decided their VRs."""


def _join(parts: Sequence[SharedElement]) -> SharedElements:
    elements = {part.tag: part.element for part in parts if part.element is not None}
    outside = {
        part.creator_tag: part.creator
        for part in parts
        if part.creator_tag and (part.creator is None or elements.get(part.creator_tag) is not part.creator)
    }
    return SharedElements(b"".join([part.data for part in parts]), parts, elements, tuple(outside.items()))


@dataclass(slots=True)
class SharedElementTable:
    """All shared elements of headers that are read with one setting."""

    by_tag: dict[bytes, SharedElements | None] = field(default_factory=dict)
    """The shared elements that include an element, by its tag as encoded; None for an element that varies."""

    _parsed: list[ParsedElements] = field(default_factory=list)
    """Elements of earlier headers that are not in the table yet."""

    _values: dict[bytes, int] = field(default_factory=dict)
    """Number of times that the value of an element differed from the one before, by its tag as encoded."""

    def reuse(self, data: bytes, at: int, elements: dict[int, RawElement]) -> int:
        """Reuse shared elements from `at` on, as long as their bytes follow one another there.

        Args:
            data: The bytes in memory.
            at: First byte of an element.
            elements: The elements before it; the reused elements are added.

        Returns:
            First byte of the first element that must be parsed.
        """
        while shared := self.by_tag.get(data[at : at + 4]):
            if not data.startswith(shared.data, at):
                shared = self._split(shared, data, at)
            for tag, creator in shared.creators:
                if elements.get(tag) != creator:
                    return at
            if not shared.parts:
                break
            elements.update(shared.elements)
            at += len(shared.data)
        return at

    def _split(self, shared: SharedElements, data: bytes, at: int) -> SharedElements:
        """Split shared elements: keep those that `data` holds from `at` on together, and the others on their own."""
        parts = shared.parts
        first = next(number for number, part in enumerate(parts) if data.startswith(part.key, at))
        stop, end = first, at
        while stop < len(parts) and data.startswith(parts[stop].data, end):
            end += len(parts[stop].data)
            stop += 1
        self._keep(parts[:first])
        self._keep(parts[stop + self._count_differing(parts[stop:], data, end) :])
        return self._keep(parts[first:stop])

    def _count_differing(self, parts: Sequence[SharedElement], data: bytes, at: int) -> int:
        """Return 1 if the first element has another value in `data`, so that it is no longer shared here, else 0."""
        if not parts or not data.startswith(parts[0].key, at):
            return 0  # another element stands there
        part = parts[0]
        if part.data.startswith(data[at : at + len(part.data)]):
            return 0  # its end is not in memory, so it may be the same
        self._values[part.key] = values = self._values.get(part.key, 0) + 1
        if values < _MOST_VALUES:
            self.by_tag.pop(part.key, None)
        else:
            self.by_tag[part.key] = None
        return 1

    def _keep(self, parts: Sequence[SharedElement]) -> SharedElements:
        shared = _join(parts)
        self.by_tag.update((part.key, shared) for part in parts)
        return shared

    def set_aside(self, parsed: ParsedElements) -> None:
        """Keep what was parsed in a header until another header can use it."""
        if parsed.found:
            self._parsed.append(parsed)

    def add_parsed(self) -> None:
        """Add the elements that were set aside to the table; those that follow one another are shared together."""
        for parsed in self._parsed:
            parts: list[SharedElement] = []
            end = 0
            for start, stop, tag, element in parsed.found:
                part = SharedElement(parsed.data[start:stop], tag, element, *parsed.creators.get(start, (0, None)))
                if start != end or len(parts) == _MOST_ELEMENTS:
                    self._keep(parts)
                    parts = []
                if part.key not in self.by_tag:
                    self.by_tag[part.key] = None
                    parts.append(part)
                    end = stop
            self._keep(parts)
        self._parsed = []


class ParsedElements(NamedTuple):
    """The elements of one header that were parsed because they are not shared yet."""

    data: bytes
    """The bytes in memory; positions count from their start."""

    found: list[tuple[int, int, int, RawElement | None]]
    """First byte, first byte after it, tag and value of each element, in their order; no value for a group length."""

    creators: dict[int, tuple[int, RawElement | None]]
    """Tag and element of the private creator that decided the VR of an element, by the first byte of that element."""
