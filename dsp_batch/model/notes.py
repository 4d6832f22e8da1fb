"""Notes: plain sentences about what of a series was left out, or read otherwise than it is declared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from dsp_batch.errors import printable

MOST_NOTES = 16
"""Notes that are kept of one series; those beyond are counted."""

MOST_CHARACTERS = 240
"""Characters of a note; a longer one is cut."""


def gather_notes(notes: Iterable[str]) -> tuple[str, ...]:
    """Gather notes: each once, in the order given, on one line, bounded in number and length.

    Example:
        >>> gather_notes(["it is dark", "it has no width", "it is dark"])
        ('it is dark', 'it has no width')
    """
    distinct = list(dict.fromkeys(_shorten(note) for note in notes))
    if len(distinct) <= MOST_NOTES:
        return tuple(distinct)
    kept = distinct[: MOST_NOTES - 1]
    return (*kept, f"{len(distinct) - len(kept)} further notes")


def count_notes(notes: Iterable[tuple[str, ...]], noun: str) -> tuple[str, ...]:
    """Make one note of the equal notes of many things, and say how many have it.

    Args:
        notes: The notes of each thing.
        noun: What the things are, in the plural.

    Example:
        >>> count_notes([("it has no width",), ("it has no width", "it is dark"), ()], "objects")
        ('2 objects: it has no width', 'it is dark')
    """
    counts = Counter(note for each in notes for note in dict.fromkeys(each))
    return gather_notes(note if count == 1 else f"{count} {noun}: {note}" for note, count in counts.items())


def join_notes(notes: tuple[str, ...]) -> str | None:
    """Put notes into one text, as a result row holds them; None where there are none."""
    return "; ".join(notes) or None


def _shorten(note: str) -> str:
    line = printable(note.strip())
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…"
