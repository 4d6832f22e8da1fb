"""The data files of the page: the first rows, the columns to filter, sort and search by, and rows by the thousands."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from typing import Any

from dsp_batch.model.series import IntArray
from dsp_batch.web.columns import CodeColumn, NumberColumn
from dsp_batch.web.fields import FACETS, IDENTIFIERS, NUMBERS, SEARCHED, TILE_COLUMNS
from dsp_batch.web.files import Files
from dsp_batch.web.rows import list_pictures
from dsp_batch.web.scripts import GrowingScript, Packed, build_script
from dsp_batch.web.table import GalleryTable, drop_empty

ROWS_PER_FILE = 4_096

_MOST_IN_ONE_UUID_FILE = 65_536
"""Series whose UUIDs are one file; of more, each file holds those with the same first two characters."""

_SHARED_COLUMNS = frozenset(("series_uuid", "preview", "n_instances", "study_date", *FACETS, *SEARCHED, *IDENTIFIERS))
"""Columns that `series.json` gives to other pages."""

_HEX = frozenset("0123456789abcdef")


def write_data(table: GalleryTable, order: IntArray, facts: Mapping[str, Any], files: Files) -> int:
    """Write all data files.

    Args:
        table: The rows.
        order: The row at each place of the page.
        facts: What the page needs to know beside the data.
        files: Where to write.

    Returns:
        Rows that have a picture.
    """
    facets, columns = _write_columns(table, order, files)
    pictures, texts, uuid_files = _write_rows(table, order, facts, files)
    count = len(table)
    head = {
        **facts,
        "stamp": files.stamp,
        "count": count,
        "pictured": pictures,
        "rowsPerFile": ROWS_PER_FILE,
        "facets": {name: FACETS.get(name, name) for name in facets},
        "columns": columns,
        "hasStudies": not table.study.is_empty,
        "texts": texts,
        "uuidDigits": _uuid_digits(count),
        "uuidFiles": uuid_files,
    }
    # Last of the data files: the page takes its stamp as that of all of them.
    files.write("data/gallery.js", build_script("gallery", files.stamp, [Packed(head)]))
    return pictures


def _write_columns(table: GalleryTable, order: IntArray, files: Files) -> tuple[list[str], dict[str, str]]:
    """Write the facets, and each further column.

    Returns:
        Names of the facets, and the titles of the other columns by name.
    """
    facets = {name: column for name, column in table.facets.items() if not column.is_empty}
    packed = [column.pack(order) for column in facets.values()]
    named = [Packed({**part.header, "name": name}, part.data) for name, part in zip(facets, packed, strict=True)]
    files.write("data/facets.js", build_script("facets", files.stamp, named))
    others: dict[str, CodeColumn | NumberColumn] = {**table.searched, **table.numbers}
    written = {name: column for name, column in others.items() if not column.is_empty}
    for name, column in written.items():
        _write_column(name, column.pack(order), files)
    if not table.study.is_empty:
        _write_column("study", table.study.pack(order, with_values=False), files)
    titles = {**SEARCHED, **NUMBERS}
    return list(facets), {name: titles[name] for name in written}


def _write_column(name: str, packed: Packed, files: Files) -> None:
    files.write(f"data/column-{name}.js", build_script(f"column-{name}", files.stamp, [packed]))


def _write_rows(
    table: GalleryTable, order: IntArray, facts: Mapping[str, Any], files: Files
) -> tuple[int, list[str], list[str]]:
    """Write the rows in files of 4,096, and what is gathered from them on the way: UIDs, UUIDs, `series.json`.

    Returns:
        Rows that have a picture, columns of UIDs, and prefixes of the files of UUIDs.
    """
    pictures, shared = 0, []
    uids = {name: GrowingScript(f"column-{name}", files.stamp, [{"kind": "text"}]) for name in IDENTIFIERS}
    uuids = _UuidFiles(_uuid_digits(len(table)))
    present: set[str] = set()
    for number, start in enumerate(range(0, max(len(order), 1), ROWS_PER_FILE)):
        columns = table.read(order[start : start + ROWS_PER_FILE])
        _write_row_files(number, columns, files)
        shared.append(_write_shared(number, columns, files))
        pictures += sum(1 for preview in columns.get("preview", ()) if preview)
        uuids.add(start, columns.get("series_uuid", []))
        for name, script in uids.items():
            values = columns.get(name, [])
            present |= {name} if any(values) else set()
            script.add("".join([f"{value or ''}\n" for value in values]).encode())
    for name, script in uids.items():
        if name in present:
            files.write(f"data/column-{name}.js", script.finish())
    prefixes = uuids.write(files)
    index = {"format": 1, "title": facts["title"], "name": facts["name"], "previews": facts["pictures"]}
    _write_json("series.json", {**index, "count": len(order), "shards": shared}, files)
    return pictures, sorted(present), prefixes


def _write_row_files(number: int, columns: dict[str, list[Any]], files: Files) -> None:
    tiles = drop_empty(columns, TILE_COLUMNS)
    files.write(f"data/rows-{number:03d}.js", _build_rows(f"rows-{number:03d}", tiles, files.stamp))
    details = drop_empty({name: values for name, values in columns.items() if name not in TILE_COLUMNS})
    name = f"details-{number:03d}"
    files.write(f"data/{name}.js", _build_rows(name, details, files.stamp))


def _build_rows(name: str, columns: dict[str, list[Any]], stamp: str) -> bytes:
    same = {column: values[0] for column, values in columns.items() if _are_alike(values)}
    varying = {column: values for column, values in columns.items() if column not in same}
    return build_script(name, stamp, [Packed({"kind": "rows", "same": same, "columns": varying})])


def _are_alike(values: list[Any]) -> bool:
    # Most columns tell by their ends that they are not.
    return bool(values[0] == values[-1] and values.count(values[0]) == len(values))


def _write_shared(number: int, columns: dict[str, list[Any]], files: Files) -> str:
    """Write a part of what other pages read: column → its value in each row.

    Returns:
        Its name.
    """
    kept = drop_empty(columns, _SHARED_COLUMNS)
    if "preview" in kept:
        kept["preview"] = list_pictures(kept)
    name = f"data/series-{number:03d}.json"
    _write_json(name, kept, files)
    return name


def _write_json(name: str, value: Any, files: Files) -> None:
    files.write(name, json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def _uuid_digits(count: int) -> int:
    """Characters of the UUID that the name of a file with UUIDs has."""
    return 0 if count <= _MOST_IN_ONE_UUID_FILE else 2


class _UuidFiles:
    """UUIDs and the places of their rows, by the first characters of the UUID, so that looking one up is one file."""

    def __init__(self, digits: int) -> None:
        self._digits = digits
        # Without prefixes there is one file, be it empty: the page of a run that has no row yet reads it too.
        prefixes = [] if digits else [""]
        self._names = {prefix: bytearray() for prefix in prefixes}
        self._places = {prefix: array("I") for prefix in prefixes}

    def add(self, start: int, series_uuids: list[str]) -> None:
        """Add the UUIDs of neighbouring rows, and the place of the first."""
        for place, uuid in enumerate(series_uuids, start):
            prefix = uuid[: self._digits].lower()
            if not _HEX.issuperset(prefix) or len(prefix) < self._digits:
                prefix = "other"
            if prefix not in self._names:
                self._names[prefix], self._places[prefix] = bytearray(), array("I")
            self._names[prefix] += f"{uuid.lower()}\n".encode()
            self._places[prefix].append(place)

    def write(self, files: Files) -> list[str]:
        """Write a file for each prefix, without prefix where there is only one.

        Returns:
            The prefixes.
        """
        for prefix, names in self._names.items():
            name = f"column-uuid-{prefix}" if prefix else "column-uuid"
            places = Packed({"kind": "numbers", "type": "u4"}, self._places[prefix].tobytes())
            files.write(
                f"data/{name}.js", build_script(name, files.stamp, [places, Packed({"kind": "text"}, bytes(names))])
            )
        return sorted(self._names)
