"""A card: what a series without a picture of its own holds, as a headline and a table or lines of text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What is drawn, and told in the result row, of a series that shows no image.

    A card names no person, and none of its texts is longer than a line.
    """

    kind: str
    """Kind of the object in the field's words: `SR`, `RTSTRUCT`, `Raw Data`."""

    headline: str
    """What is in it, counted: `104 regions`. Empty where there is nothing to count."""

    title: str
    """What it is about, in one line."""

    columns: tuple[str, ...] = ()
    """Head of the table; empty for none."""

    rows: tuple[tuple[str, ...], ...] = ()
    """Rows of the table, each with a text for each column. All of them: a picture shows as many as it has room for."""

    lines: tuple[str, ...] = ()
    """Lines of text, above the table where there are both."""

    angles: tuple[tuple[float, ...], ...] = ()
    """Gantry angles of each beam of a plan, in degrees: drawn as a wheel beside the headline. Empty for none."""

    n_items: int | None = None
    """The number that the headline counts; None where it counts nothing."""

    notes: tuple[str, ...] = ()
    """Sentences that say what of the object the card leaves out, or where it was read otherwise than it declares."""
