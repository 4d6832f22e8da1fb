"""JSON that names series: an array, JSON Lines, or an answer of IDC's API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, TextIO

from dsp_batch.batch.json_items import read_items
from dsp_batch.batch.manifest_lines import LONGEST_LINE, Reading, Surroundings, read_lines, reject
from dsp_batch.batch.manifest_tables import explain_columns, match_columns, read_row
from dsp_batch.batch.manifest_text import read_name
from dsp_batch.errors import ManifestError

_decode = json.JSONDecoder().raw_decode  # a third of the time of json.loads


def name_json(stream: TextIO, surroundings: Surroundings) -> Iterator[Reading]:
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
        for number, item in enumerate(read_items(stream), 1):  # how far it came
            yield _name_item(number, item, surroundings)
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


def _name_json_lines(stream: TextIO, surroundings: Surroundings) -> Iterator[Reading]:
    for number, text in enumerate(read_lines(stream, surroundings.source), 1):
        if not text:
            continue
        item = _parse(text)
        if item is None:
            reason = f"longer than {LONGEST_LINE} characters" if len(text) >= LONGEST_LINE else "not readable as JSON"
            yield reject(number, text, surroundings, reason)
        else:
            yield _name_item(number, item, surroundings)


def _name_item(number: int, item: Any, surroundings: Surroundings) -> Reading:
    """Read one item: an object with the columns of a table, or the name of a series as text."""
    if isinstance(item, str):
        return read_name(number, item.strip(), surroundings)
    columns = match_columns(tuple(item)) if isinstance(item, dict) else None
    if columns is not None:
        return read_row((number, item), tuple(item.values()), columns, surroundings)
    reason = explain_columns("keys") if isinstance(item, dict) else "an item is an object or a text"
    return reject(number, json.dumps(item, default=str), surroundings, reason)


def _parse(text: str) -> Any:
    """The value of a JSON text without blanks around it; None where it is not readable."""
    try:
        value, end = _decode(text)
    except (ValueError, RecursionError):
        return None
    return value if end == len(text) else None
