"""What the headers of a series have in common, parsed once.

The instances of a series differ in a dozen elements out of hundreds. What lies between those are stretches of elements
whose bytes are the same in each header. A stretch that was parsed once is taken over wherever its bytes stand again
where an element begins, whatever stands before them: one comparison of bytes instead of a hundred elements.

That is exact because the elements of a stretch depend on nothing but

* its bytes: a stretch holds whole elements only;
* how they are encoded and which values stay in the object: each such setting has stretches of its own;
* the private creators before it, where the encoding leaves a VR open: they are compared (PS3.5 7.8.1).

Where the bytes differ, the stretch is cut around the element that differs. An element that differs again and again is
one of those that vary, and is parsed in each header.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dsp_batch.model.series import RawElement

_MOST_ELEMENTS = 64
"""Elements of a stretch. To cut one costs as much as it holds, and damage may ask for a cut anywhere."""

_MOST_VALUES = 3
"""Values of an element that are tried: the second may be that of all but a localizer in front."""


class Part(NamedTuple):
    """One element of a stretch."""

    data: bytes
    """All its bytes; the first four are its tag as encoded."""

    tag: int
    element: RawElement | None
    """None for a group length, which no header keeps."""

    creator_tag: int = 0
    """Where a private creator decided its VR; 0 where none did."""

    creator: RawElement | None = None

    @property
    def key(self) -> bytes:
        """The tag as encoded."""
        return self.data[:4]


class Stretch(NamedTuple):
    """Consecutive elements, each tag once."""

    data: bytes
    """Their bytes."""

    parts: Sequence[Part]
    elements: dict[int, RawElement]
    """Tag → element, in their order; never modified, and shared by headers."""

    creators: Sequence[tuple[int, RawElement | None]]
    """The private creators in front of the stretch that decided VRs in it: tag → element."""


def _build_stretch(parts: Sequence[Part]) -> Stretch:
    elements = {part.tag: part.element for part in parts if part.element is not None}
    outside = {
        part.creator_tag: part.creator
        for part in parts
        if part.creator_tag and (part.creator is None or elements.get(part.creator_tag) is not part.creator)
    }
    return Stretch(b"".join([part.data for part in parts]), parts, elements, tuple(outside.items()))


@dataclass(slots=True)
class Stretches:
    """The stretches of headers that are read with one setting."""

    holding: dict[bytes, Stretch | None] = field(default_factory=dict)
    """Tag as encoded → the stretch that holds the element; None for elements that vary. Others were never met."""

    _lessons: list[Lesson] = field(default_factory=list)
    _values: dict[bytes, int] = field(default_factory=dict)
    """Tag as encoded → how many of its values differed from the next one."""

    def take_over(self, data: bytes, at: int, elements: dict[int, RawElement]) -> int:
        """Take over the stretches that stand at `at`, one behind the other.

        Args:
            data: The bytes in hand.
            at: Where an element begins.
            elements: What precedes it; filled with what was found.

        Returns:
            Where the first element begins that must be parsed.
        """
        while stretch := self.holding.get(data[at : at + 4]):
            if not data.startswith(stretch.data, at):
                stretch = self._cut(stretch, data, at)
            for tag, creator in stretch.creators:
                if elements.get(tag) != creator:
                    return at
            if not stretch.parts:
                break
            elements.update(stretch.elements)
            at += len(stretch.data)
        return at

    def _cut(self, stretch: Stretch, data: bytes, at: int) -> Stretch:
        """Cut a stretch to what of it stands in `data`, from the element at `at` on; keep the rest on its own."""
        parts = stretch.parts
        first = next(number for number, part in enumerate(parts) if data.startswith(part.key, at))
        stop, end = first, at
        while stop < len(parts) and data.startswith(parts[stop].data, end):
            end += len(parts[stop].data)
            stop += 1
        self._keep(parts[:first])
        self._keep(parts[stop + self._count_differing(parts[stop:], data, end) :])
        return self._keep(parts[first:stop])

    def _count_differing(self, parts: Sequence[Part], data: bytes, at: int) -> int:
        """1 where the first element has another value in `data`, which ends its being part of a stretch, else 0."""
        if not parts or not data.startswith(parts[0].key, at):
            return 0  # another element stands there
        part = parts[0]
        if part.data.startswith(data[at : at + len(part.data)]):
            return 0  # its end is not in hand, so that nobody knows
        self._values[part.key] = values = self._values.get(part.key, 0) + 1
        if values < _MOST_VALUES:
            self.holding.pop(part.key, None)
        else:
            self.holding[part.key] = None
        return 1

    def _keep(self, parts: Sequence[Part]) -> Stretch:
        stretch = _build_stretch(parts)
        self.holding.update((part.key, stretch) for part in parts)
        return stretch

    def learn_later(self, lesson: Lesson) -> None:
        """Set aside what was parsed in a header, until there is another one to use it."""
        if lesson.found:
            self._lessons.append(lesson)

    def learn(self) -> None:
        """Make stretches of the elements that were set aside and lie behind one another."""
        for lesson in self._lessons:
            parts: list[Part] = []
            end = 0
            for start, stop, tag, element in lesson.found:
                part = Part(lesson.data[start:stop], tag, element, *lesson.creators.get(start, (0, None)))
                if start != end or len(parts) == _MOST_ELEMENTS:
                    self._keep(parts)
                    parts = []
                if part.key not in self.holding:
                    self.holding[part.key] = None
                    parts.append(part)
                    end = stop
            self._keep(parts)
        self._lessons = []


class Lesson(NamedTuple):
    """The elements of one header that were parsed because no stretch holds them yet."""

    data: bytes
    """The bytes in hand; positions count in them."""

    found: list[tuple[int, int, int, RawElement | None]]
    """First byte, first byte behind it, tag and element, in their order; None for a group length."""

    creators: dict[int, tuple[int, RawElement | None]]
    """First byte → tag and element of the private creator that decided the VR of an element."""
