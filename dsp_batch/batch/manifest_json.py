"""JSON that names series: an array, JSON Lines, or an answer of IDC's API."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, TextIO

from dsp_batch.batch.manifest_tables import explain_columns, match_columns, read_row
from dsp_batch.batch.manifest_text import Reading, Surroundings, read_name, reject
from dsp_batch.errors import ManifestError


def name_json(stream: TextIO, surroundings: Surroundings) -> Iterator[Reading]:
    """Items of a JSON text that begins with `[` or `{`. JSON Lines are streamed, other documents are loaded.

    Raises:
        ManifestError: It is no JSON, or holds no list of series.
    """
    first = stream.readline()
    while first.isspace():
        first = stream.readline()
    item = _parse(first)
    if isinstance(item, dict) and not item.keys() & {"manifest", "manifest_data"}:
        return _name_json_lines(chain([first], stream), surroundings)
    rest = stream.read()
    if item is None or rest.strip():
        try:
            item = json.loads(first + rest)
        except ValueError as error:
            lines = rest.splitlines()
            if not any(isinstance(_parse(line), dict) for line in lines):
                raise ManifestError(f"{surroundings.source}: not readable as JSON: {error}") from None
            return _name_json_lines(chain([first], lines), surroundings)
    items = _find_items(item, surroundings.source)
    return (_name_item(number, item, surroundings) for number, item in enumerate(items, 1))


def _name_json_lines(lines: Iterable[str], surroundings: Surroundings) -> Iterator[Reading]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        if "\0" in text:
            raise ManifestError(f"{surroundings.source}:{number}: NUL bytes: a JSON manifest is UTF-8 text")
        item = _parse(text)
        if item is None:
            yield reject(number, text, surroundings, "not readable as JSON")
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


def _find_items(item: Any, source: str) -> list[Any]:
    """The rows in a JSON document: the array itself, or the `manifest_data` of IDC's API."""
    if isinstance(item, dict):
        inner = item.get("manifest", item.get("manifest_data", [item]))
        item = inner.get("manifest_data") if isinstance(inner, dict) else inner
    if not isinstance(item, list):
        raise ManifestError(f"{source}: JSON without a list of series: give an array, or manifest.manifest_data")
    return item


def _parse(text: str) -> Any:
    """The value of a JSON text; None where it is not readable."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
