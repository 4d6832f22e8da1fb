"""The manifest as one table: its series in order, what they carry along, and the lines that name none."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from dsp_batch.errors import ManifestError
from dsp_batch.index.arrays import build_array
from dsp_batch.model.series import NO_COLUMNS, SeriesRef

MOST_COLUMNS = 500
"""Columns of a manifest that are carried: JSON items may each bring their own."""

_OWN_COLUMNS = ("root", "series_uuid", "endpoint_url", "line")
_ROWS_AT_ONCE = 16_384
_LONGEST_METADATA = 2**31 - 1
_METADATA_KEY = b"dsp_batch"
_FORMAT = 1
_REJECTED = pa.schema([("line", pa.int64()), ("text", pa.string()), ("reason", pa.string())])


class RejectedLine(NamedTuple):
    """A line, row or item of a manifest that names no series."""

    source: str
    """Name of the manifest."""

    line: int
    """Counted from 1; in a JSON array, a table or a Parquet file the item or row."""

    text: str
    """The line itself; of a long one the beginning."""

    reason: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RejectedLines:
    """The lines of a manifest that name no series, packed: millions of them take some 25 bytes each.

    Iterating unpacks them, some thousand at a time, in the order of the manifest.
    """

    source: str
    """Name of the manifest."""

    count: int
    packed: bytes
    """An Arrow stream of line, text and reason, compressed; empty where there is no such line."""

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[RejectedLine]:
        if self.count:
            for batch in pa.ipc.open_stream(self.packed):
                for line, text, reason in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    yield RejectedLine(self.source, line, text, reason)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Manifest:
    """The series of a manifest, each once, and what else was in it."""

    table: pa.Table
    """A row for each series, in the order of the manifest: `root` (dictionary of strings), `series_uuid` (string),
    `endpoint_url` (dictionary of strings, null for the default server), `line` (int64, null where there is none), then
    the carried columns in the order of `columns`. A carried column with one of these four names has `manifest_` before
    its own."""

    columns: tuple[str, ...]
    """Names of the carried columns, as the manifest has them."""

    rejected: RejectedLines
    duplicates: int
    """Lines that name a series which an earlier line named."""

    digest: str
    """Tells which series these are, whatever their order and what they carry: 32 hex digits."""

    def __len__(self) -> int:
        """Number of series."""
        return int(self.table.num_rows)

    def series(self, start: int = 0, stop: int | None = None) -> Iterator[SeriesRef]:
        """Stream the series of some rows, from `start` to before `stop`; None for the end."""
        for first in range(start, len(self) if stop is None else min(stop, len(self)), _ROWS_AT_ONCE):
            end = first + _ROWS_AT_ONCE if stop is None else min(stop, first + _ROWS_AT_ONCE)
            rows = self.table.slice(first, end - first)
            roots, names, servers, lines, *carried = (column.to_pylist() for column in rows.columns)
            columns: Iterable[Mapping[str, Any]] = [NO_COLUMNS] * len(names)
            if carried:
                columns = (dict(zip(self.columns, cells, strict=True)) for cells in zip(*carried, strict=True))
            yield from map(SeriesRef, roots, names, servers, columns, lines)


class RejectedLinesBuilder:
    """Packs the lines that name no series as they come.

    Args:
        source: Name of the manifest.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._count = 0
        self._sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        self._writer = pa.ipc.new_stream(self._sink, _REJECTED, options=options)
        self._lines = list[RejectedLine]()

    def add(self, line: RejectedLine) -> None:
        """Append a line."""
        self._lines.append(line)
        if len(self._lines) >= _ROWS_AT_ONCE:
            self._pack()

    def finish(self) -> RejectedLines:
        """All lines; nothing can be added any more."""
        self._pack()
        self._writer.close()
        packed = self._sink.getvalue().to_pybytes() if self._count else b""
        return RejectedLines(source=self._source, count=self._count, packed=packed)

    def _pack(self) -> None:
        cells = [
            build_array([line.line for line in self._lines], pa.int64()),
            _build_texts([line.text for line in self._lines]),
            _build_texts([line.reason for line in self._lines]),
        ]
        self._writer.write_batch(pa.record_batch(cells, schema=_REJECTED))
        self._count += len(self._lines)
        self._lines.clear()


class TableBuilder:
    """Gathers series as the rows of one table."""

    def __init__(self) -> None:
        self._refs = list[SeriesRef]()
        self._rows = 0
        self._roots = dict[str | None, int]()
        self._servers = dict[str | None, int]()
        self._own: list[list[pa.Array]] = [[] for _ in _OWN_COLUMNS]
        self._carried = dict[str, list[pa.Array]]()

    def add(self, ref: SeriesRef) -> None:
        """Append a series."""
        self._refs.append(ref)
        if len(self._refs) >= _ROWS_AT_ONCE:
            self._append()

    def finish(self) -> tuple[pa.Table, tuple[str, ...]]:
        """The table, and the names of the carried columns in the order of its last columns."""
        self._append()
        roots, names, servers, lines = self._own
        columns = {
            "root": _decode(roots, self._roots),
            "series_uuid": pa.chunked_array(names, pa.string()),
            "endpoint_url": _decode(servers, self._servers),
            "line": pa.chunked_array(lines, pa.int64()),
        }
        for name, chunks in self._carried.items():
            columns[_free_name(_plain(name), columns)] = _join_chunks(chunks)
        return pa.table(columns), tuple(map(_plain, self._carried))

    def _append(self) -> None:
        refs = self._refs
        kinds = (pa.int32(), pa.string(), pa.int32(), pa.int64())
        own: tuple[list[Any], ...] = (
            [self._roots.setdefault(ref.root, len(self._roots)) for ref in refs],
            [ref.series_uuid for ref in refs],
            [_code(ref.endpoint_url, self._servers) for ref in refs],
            [ref.line for ref in refs],
        )
        for chunks, values, kind in zip(self._own, own, kinds, strict=True):
            chunks.append(build_array(values, kind))
        rows = [ref.columns for ref in refs]
        for name in dict.fromkeys(name for row in map(tuple, dict.fromkeys(map(tuple, rows))) for name in row):
            if name in self._carried or len(self._carried) < MOST_COLUMNS:
                chunks = self._carried.setdefault(name, [pa.nulls(self._rows)] if self._rows else [])
                chunks.append(_build_column([row.get(name) for row in rows]))
        self._rows += len(refs)
        for chunks in self._carried.values():
            missing = self._rows - sum(map(len, chunks))
            if missing:
                chunks.append(pa.nulls(missing))
        self._refs = []


def serialize_manifest(manifest: Manifest) -> bytes:
    """Write a manifest as a Parquet file, with the lines that name no series in its metadata."""
    told = {
        "format": _FORMAT,
        "columns": manifest.columns,
        "duplicates": manifest.duplicates,
        "digest": manifest.digest,
        "source": manifest.rejected.source,
        "rejected": manifest.rejected.count,
        "rejected_lines": base64.b64encode(manifest.rejected.packed).decode("ascii"),
    }
    names = manifest.table.schema.names
    sink = pa.BufferOutputStream()
    pq.write_table(
        manifest.table.replace_schema_metadata({_METADATA_KEY: json.dumps(told)}),
        sink,
        compression="zstd",
        use_dictionary=[name for name in names if name not in ("series_uuid", "line")],
        column_encoding={"line": "DELTA_BINARY_PACKED"},
    )
    data: bytes = sink.getvalue().to_pybytes()
    return data


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest back that `serialize_manifest` wrote.

    Raises:
        ManifestError: It is damaged, or something else.
    """
    try:
        limits = {"thrift_string_size_limit": _LONGEST_METADATA}
        file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False, **limits)
        told = json.loads(file.schema_arrow.metadata[_METADATA_KEY])
        if told["format"] != _FORMAT:
            raise ManifestError(f"a manifest of format {told['format']}, which another version of dsp-batch wrote")
        packed = base64.b64decode(told["rejected_lines"])
        return Manifest(
            table=file.read(use_threads=False).replace_schema_metadata(None),
            columns=tuple(told["columns"]),
            rejected=RejectedLines(source=told["source"], count=told["rejected"], packed=packed),
            duplicates=told["duplicates"],
            digest=told["digest"],
        )
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"not readable as the manifest of a run: {error}") from error


def _code(value: str | None, codes: dict[str | None, int]) -> int | None:
    return None if value is None else codes.setdefault(value, len(codes))


def _decode(chunks: Sequence[pa.Array], codes: Mapping[str | None, int]) -> pa.ChunkedArray:
    """The texts that some codes stand for."""
    values = build_array([*codes], pa.string())
    kind = pa.dictionary(pa.int32(), pa.string())
    return pa.chunked_array([pa.DictionaryArray.from_arrays(chunk, values) for chunk in chunks], kind)


def _free_name(name: str, taken: Iterable[str]) -> str:
    while name in taken:
        name = f"manifest_{name}"
    return name


def _build_column(values: Sequence[Any]) -> pa.Array:
    """Cells in the type that they all have; as text where they have several, or one that Arrow does not know."""
    kinds = {*map(type, values)} - {NoneType}
    if not kinds:
        return pa.nulls(len(values))
    if kinds == {str}:
        return _build_texts(values)
    try:
        return pa.array(values) if len(kinds) == 1 else _build_texts([*map(_write_cell, values)])
    except (pa.ArrowException, OverflowError):
        return _build_texts([*map(_write_cell, values)])


def _join_chunks(chunks: Sequence[pa.Array]) -> pa.ChunkedArray:
    """A column of chunks, in the type that all of them have that are not empty; else as text."""
    kinds = {chunk.type for chunk in chunks if not pa.types.is_null(chunk.type)}
    kind = kinds.pop() if len(kinds) == 1 else pa.string()
    if kinds:
        chunks = [_build_texts([*map(_write_cell, chunk.to_pylist())]) for chunk in chunks]
    return pa.chunked_array([chunk.cast(kind) for chunk in chunks], kind)


def _write_cell(value: Any) -> str | None:
    """A cell as text, as results show it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return str(value)


def _build_texts(texts: Sequence[str | None]) -> pa.Array:
    return build_array([_plain(text) if text else text for text in texts], pa.string())


def _plain(text: str) -> str:
    """A text that UTF-8 can hold: names of files that are no UTF-8 come as lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
