"""JSON that names series: an array, JSON Lines, or an answer of IDC's API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import compress, repeat
from operator import contains, itemgetter
from typing import Any, TextIO

from dsp_batch.batch.manifest.columns import Rows, carry_columns, explain_columns, match_columns, name_rows
from dsp_batch.batch.manifest.json_items import read_items
from dsp_batch.batch.manifest.rows import (
    LONGEST_LINE,
    Reading,
    RowLayout,
    Surroundings,
    read_blocks,
    reject,
)
from dsp_batch.batch.manifest.table import RejectedLine
from dsp_batch.batch.manifest.text import name_texts
from dsp_batch.errors import ManifestError

_ESCAPED = r"\u0000"
"""A sign that no name has."""

_decode = json.JSONDecoder().raw_decode  # a third of the time of json.loads


def name_json(stream: TextIO, surroundings: Surroundings) -> Iterator[list[Reading]]:
    """Items of a JSON text that begins with `[` or `{`, streamed whatever its form.

    Args:
        stream: The text; must be seekable.
        surroundings: What its items leave open.

    Raises:
        ManifestError: It is no JSON, or holds no list of series.
    """
    first = stream.readline(LONGEST_LINE)
    while first.isspace():
        first = stream.readline(LONGEST_LINE)
    item = _parse(first.strip())
    stream.seek(0)
    if isinstance(item, dict) and not item.keys() & {"manifest", "manifest_data"}:
        yield from _name_json_lines(stream, surroundings)
        return
    number = 0
    try:
        for items in read_items(stream):
            yield _name_items(range(number + 1, number + 1 + len(items)), items, surroundings)
            number += len(items)  # how far it came
    except ValueError as error:
        if number == 0 and _has_objects(stream):
            yield from _name_json_lines(stream, surroundings)
            return
        place = f" behind item {number}" if number else ""
        raise ManifestError(f"{surroundings.source}: not readable as JSON{place}: {error}") from None


def _has_objects(stream: TextIO) -> bool:
    """Whether any line but the first is an object: JSON Lines may begin with a broken one. The text is rewound."""
    stream.seek(0)
    while stream.readline(LONGEST_LINE).isspace():
        pass
    found = any(isinstance(_parse(line.strip()), dict) for line in iter(partial(stream.readline, LONGEST_LINE), ""))
    stream.seek(0)
    return found


def _name_json_lines(stream: TextIO, surroundings: Surroundings) -> Iterator[list[Reading]]:
    first = 1
    for block in read_blocks(stream, surroundings.source):
        items = _parse_together(block)
        is_item = [item is not None for item in items]
        numbers = range(first, first + len(block))
        first += len(block)
        if all(is_item):
            yield _name_items(numbers, items, surroundings)
            continue
        named = iter(_name_items([*compress(numbers, is_item)], [*compress(items, is_item)], surroundings))
        yield [
            next(named) if found else _reject_line(number, text, surroundings)
            for number, text, found in zip(numbers, block, is_item, strict=True)
            if text
        ]


def _reject_line(number: int, text: str, surroundings: Surroundings) -> RejectedLine:
    reason = f"longer than {LONGEST_LINE} characters" if len(text) >= LONGEST_LINE else "not readable as JSON"
    return reject(number, text, surroundings, reason)


def _name_items(numbers: Sequence[int], items: Sequence[Any], surroundings: Surroundings) -> list[Reading]:
    """Read items, those of the same keys together."""
    if {*map(type, items)} == {dict} and all(map(tuple(items[0]).__eq__, map(tuple, items))):
        return _name_alike(numbers, items, surroundings)
    shapes = [tuple(item) if isinstance(item, dict) else type(item) for item in items]
    places: dict[tuple[str, ...] | type, list[int]] = {}
    for place, shape in enumerate(shapes):
        places.setdefault(shape, []).append(place)
    readings: dict[int, Reading] = {}
    for some in places.values():
        named = _name_alike([numbers[place] for place in some], [items[place] for place in some], surroundings)
        readings.update(zip(some, named, strict=True))
    return [readings[place] for place in range(len(items))]


def _name_alike(numbers: Sequence[int], items: Sequence[Any], surroundings: Surroundings) -> list[Reading]:
    """Read objects with the columns of a table, or names of series as texts."""
    if isinstance(items[0], str):
        return name_texts(numbers, [item.strip() for item in items], surroundings)
    names = tuple(items[0]) if isinstance(items[0], dict) else ()
    columns = match_columns(names)
    if columns is not None:
        cells = {place: [*map(itemgetter(names[place]), items)] for place in columns.key_places}
        layout = RowLayout({name: names[place] for name, place in columns.others.items()})
        carried = carry_columns(columns, layout, items)
        return name_rows(Rows(numbers, items, cells, [*carried]), columns, surroundings)
    reason = explain_columns("keys") if isinstance(items[0], dict) else "an item is an object or a text"
    lines = zip(numbers, items, strict=True)
    return [reject(number, json.dumps(item, default=str), surroundings, reason) for number, item in lines]


def _parse_together(texts: list[str]) -> list[Any]:
    """What `_parse` gives of each, in half of the time where all are readable.

    A value that no line can hold stands between them: where it comes back after every item, each is that of its line.
    """
    if any(map(contains, texts, repeat(_ESCAPED))):
        return [*map(_parse, texts)]
    between = f',"{_ESCAPED}",'
    values = _parse(f"[{between.join(texts)}]") or []
    is_apart = len(values) == 2 * len(texts) - 1 and values[1::2] == ["\0"] * (len(texts) - 1)
    return values[::2] if is_apart else [*map(_parse, texts)]


def _parse(text: str) -> Any:
    """The value of a JSON text without blanks around it; None where it is not readable."""
    try:
        value, end = _decode(text)
    except (ValueError, RecursionError):
        return None
    return value if end == len(text) else None
