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

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from dsp_batch.model import RawElement

_MOST_ELEMENTS, _MOST_BYTES = 64, 16 * 1024
"""A stretch ends where it has as many. To cut one costs as much as it holds, and damage may ask for a cut anywhere."""

_MOST_VALUES = 3
"""Values of an element that are tried: the second may be that of all but a localizer in front."""

_TAG_BYTES = 4


class Part(NamedTuple):
    """One element of a stretch."""

    tag: int
    element: RawElement | None
    """None for a group length, which no header keeps."""

    stop: int
    """First byte behind it, counted from the start of the stretch."""

    creator_tag: int = 0
    """Where a private creator decided its VR; 0 where none did."""

    creator: RawElement | None = None


class Stretch(NamedTuple):
    """Consecutive elements, each tag once."""

    data: bytes
    """Their bytes."""

    parts: tuple[Part, ...]

    elements: dict[int, RawElement]
    """Tag → element, in their order; never modified, and shared by headers."""

    creators: tuple[tuple[int, RawElement | None], ...]
    """The private creators in front of the stretch that decided VRs in it: tag → element."""


def _build_stretch(data: bytes, parts: Iterable[Part]) -> Stretch:
    parts = tuple(parts)
    elements = {part.tag: part.element for part in parts if part.element is not None}
    outside = {
        part.creator_tag: part.creator
        for part in parts
        if part.creator_tag and (part.creator is None or elements.get(part.creator_tag) is not part.creator)
    }
    return Stretch(data, parts, elements, tuple(outside.items()))


@dataclass(slots=True)
class Stretches:
    """The stretches of headers that are encoded alike, found by the tag that each begins with."""

    _by_tag: dict[bytes, Stretch] = field(default_factory=dict)
    """Tag as encoded → the stretch that begins with it."""

    known: set[int] = field(default_factory=set)
    """Tags that are in a stretch, or will be, or vary: they are not learned again."""

    _values: dict[int, int] = field(default_factory=dict)
    """Tag → how many of its values differed from the next one."""

    def take_over(self, data: bytes, at: int, elements: dict[int, RawElement]) -> int:
        """Take over the stretches that stand at `at`, one behind the other.

        Args:
            data: The bytes in hand.
            at: Where an element begins.
            elements: What precedes it; filled with what was found.

        Returns:
            Where the first element begins that must be parsed.
        """
        while stretch := self._by_tag.get(data[at : at + _TAG_BYTES]):
            stop = at + len(stretch.data)
            if not data.startswith(stretch.data, at):
                if stop > len(data):
                    break  # its end is not in hand, so that nobody knows whether it is another
                stretch, stop = self._cut(stretch, data, at)
            for tag, creator in stretch.creators:
                if elements.get(tag) != creator:
                    return at
            elements.update(stretch.elements)
            at = stop
        return at

    def add(self, data: bytes, start: int, parts: list[Part]) -> None:
        """Keep consecutive elements that were parsed.

        Args:
            data: The bytes in hand.
            start: Where the first of the elements begins.
            parts: The elements; their tags are among `known` already.
        """
        first = begin = 0
        for number, part in enumerate(parts, start=1):
            if number == len(parts) or number - first >= _MOST_ELEMENTS or part.stop - begin >= _MOST_BYTES:
                own = (each._replace(stop=each.stop - begin) for each in parts[first:number])
                self._keep(data[start + begin : start + part.stop], own)
                first, begin = number, part.stop

    def _keep(self, data: bytes, parts: Iterable[Part]) -> Stretch:
        stretch = _build_stretch(data, parts)
        if stretch.parts:
            self._by_tag[data[:_TAG_BYTES]] = stretch
        return stretch

    def _cut(self, stretch: Stretch, data: bytes, at: int) -> tuple[Stretch, int]:
        """Cut a stretch around the first element that is another in `data`; return what is before it, and its end."""
        begin = number = 0
        while data.startswith(stretch.data[begin : stretch.parts[number].stop], at + begin):
            begin = stretch.parts[number].stop
            number += 1
        differing = stretch.parts[number]
        del self._by_tag[stretch.data[:_TAG_BYTES]]
        rest = (part._replace(stop=part.stop - differing.stop) for part in stretch.parts[number + 1 :])
        self._keep(stretch.data[differing.stop :], rest)
        self._values[differing.tag] = values = self._values.get(differing.tag, 0) + 1
        if values < _MOST_VALUES:
            self.known.discard(differing.tag)
        return self._keep(stretch.data[:begin], stretch.parts[:number]), at + begin


@dataclass(slots=True)
class Learner:
    """Gathers the elements of one header that no stretch holds yet, those together that lie behind one another."""

    stretches: Stretches
    data: bytes
    """The bytes in hand; positions count from their start."""

    _start: int = 0
    _stop: int = 0
    _parts: list[Part] = field(default_factory=list)

    def wants(self, tag: int) -> bool:
        """Whether an element that had to be parsed is to be learned."""
        return tag not in self.stretches.known

    def learn(self, start: int, part: Part) -> None:
        """Take up an element that is wanted; its `stop` counts like `start`."""
        if start != self._stop:
            self.close()
            self._start = start
        self.stretches.known.add(part.tag)
        self._parts.append(part._replace(stop=part.stop - self._start))
        self._stop = part.stop

    def close(self) -> None:
        """Hand over what was gathered."""
        if self._parts:
            self.stretches.add(self.data, self._start, self._parts)
            self._parts = []
