"""Read title, sections and first lines of a clinical document (HL7 CDA, Release 2), and nothing of its header."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

from dsp_batch.errors import PixelError

MOST_SECTIONS = 200
"""Sections that are read. A card shows a few of them."""

_MOST_CHARACTERS = 400
"""Characters of a section that are read: more than a line."""

_BREAKS = frozenset({"br", "paragraph", "item", "list", "tr", "table", "caption", "thead", "tbody"})
"""Elements of a narrative block that begin a line."""


@dataclass(slots=True)
class Section:
    """One section of a clinical document."""

    title: str = ""
    text: str = ""

    @property
    def first_line(self) -> str:
        """Return the first line that is not empty, its blanks put together."""
        return next((line for each in self.text.split("\n") if (line := " ".join(each.split()))), "")


@dataclass(slots=True)
class Narrative:
    """What a reader of a clinical document sees first."""

    title: str = ""
    sections: list[Section] = field(default_factory=list)


def read_narrative(data: bytes) -> Narrative:
    """Read a clinical document.

    Args:
        data: The XML file. Zeros that pad it do no harm.

    Raises:
        PixelError: It is no XML, or declares a document type, whose entities could take any time and memory.
    """
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.read
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        parser.Parse(data.rstrip(b"\0"), True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        if not reader.found.sections and not reader.found.title:
            raise PixelError(f"the document is no XML: {error}") from error
    return reader.found


class _Reader:
    """Gathers titles and texts while a document is parsed."""

    def __init__(self) -> None:
        self.found = Narrative()
        self._path: list[str] = []
        self._open: list[Section] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:  # noqa: ARG002  # what expat calls it with
        """Enter an element."""
        local = name.rpartition(" ")[2]
        self._path.append(local)
        if local == "section":
            self._open.append(Section())
            if len(self.found.sections) < MOST_SECTIONS:
                self.found.sections.append(self._open[-1])
        elif local in _BREAKS:
            self.read("\n")

    def end(self, name: str) -> None:  # noqa: ARG002  # what expat calls it with
        """Leave an element."""
        local = self._path.pop()
        if local == "section" and self._open:
            self._open.pop()
        elif local in _BREAKS:
            self.read("\n")
        elif local in ("td", "th"):
            self.read(" ")

    def read(self, text: str) -> None:
        """Read text."""
        if self._path[-1:] == ["title"]:
            owner: Narrative | Section = self._open[-1] if self._open else self.found
            owner.title = (owner.title + text)[:_MOST_CHARACTERS]
        elif self._open and "text" in self._path:
            section = self._open[-1]
            section.text = (section.text + text)[:_MOST_CHARACTERS]

    def refuse(self, *declaration: object) -> None:
        """Refuse a document type."""
        raise ValueError(f"it declares the document type {declaration[0]!s:.40}")
