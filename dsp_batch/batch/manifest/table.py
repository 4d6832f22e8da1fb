"""The manifest as one table: its series in order, what they carry along, and the lines that name none."""

from __future__ import annotations

import base64
import gzip
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from types import NoneType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dsp_batch.batch.manifest.entries import Entry
from dsp_batch.batch.manifest.rejected import RejectedLine, RejectedLines
from dsp_batch.errors import ManifestError
from dsp_batch.index.arrays import build_array, write_parquet
from dsp_batch.index.seal import check_seal
from dsp_batch.model.identifiers import digest_series
from dsp_batch.model.series import NO_COLUMNS, IntArray, SeriesRef

MOST_COLUMNS = 500
"""Columns of a manifest that are carried: JSON items may each bring their own."""

_ROWS_AT_ONCE = 16_384
_METADATA_KEY = b"dsp_batch"
_LONGEST_METADATA = 2**31 - 1
_FORMAT = 2

_OWN_COLUMNS = ("root", "series_uuid", "endpoint_url", "line", "folder", "scan", "digest")
"""Columns that a manifest has before those that it carries."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Manifest:
    """The series of a manifest, each once, and what else was in it."""

    table: pa.Table
    """A row for each series, in the order of the manifest: `root` (dictionary of strings), `series_uuid` (string),
    `endpoint_url` (dictionary of strings, null for the default server), `line` (int64), `folder`, `scan` and `digest`
    (strings, null where `series_uuid` names the folder), then the carried columns in the order of `columns`. A carried
    column with one of these names has `manifest_` before its own."""

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
        end = len(self) if stop is None else min(stop, len(self))
        yield from self._read(self.table.slice(start, end - start))

    def take(self, rows: IntArray) -> Iterator[SeriesRef]:
        """Stream the series of some rows."""
        yield from self._read(self.table.take(pa.array(rows)))

    def _read(self, table: pa.Table) -> Iterator[SeriesRef]:
        for first in range(0, len(table), _ROWS_AT_ONCE):
            rows = table.slice(first, _ROWS_AT_ONCE)
            roots, names, servers, lines, folders, scans, digests, *carried = (
                column.to_pylist() for column in rows.columns
            )
            columns: Iterable[Mapping[str, Any]] = [NO_COLUMNS] * len(names)
            if carried:
                columns = (dict(zip(self.columns, cells, strict=True)) for cells in zip(*carried, strict=True))
            yield from map(SeriesRef, roots, names, servers, columns, lines, folders, repeat(None), scans, digests)


class ManifestBuilder:
    """Gathers the lines of a manifest: series as rows of one table, the others packed.

    Args:
        source: Name of the manifest.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._refs = list[SeriesRef]()
        self._chunks = list[pa.Table]()
        self._carried = dict[str, list[pa.Array]]()
        self._rows = self._rejected = self._duplicates = 0
        self._packed = io.BytesIO()
        self._file = gzip.GzipFile(fileobj=self._packed, mode="wb", compresslevel=1, mtime=0)

    def add(self, line: Entry) -> None:
        """Append a line."""
        if isinstance(line, SeriesRef):
            self._refs.append(line)
            if len(self._refs) == _ROWS_AT_ONCE:
                self._append()
        elif isinstance(line, RejectedLine):
            self._file.write(f"{json.dumps(line[1:])}\n".encode("ascii"))
            self._rejected += 1
        else:
            self._duplicates += 1

    def finish(self) -> Manifest:
        """Return the manifest. Nothing can be added any more."""
        self._append()
        self._file.close()
        table = pa.concat_tables(self._chunks).unify_dictionaries()
        for name, chunks in self._carried.items():
            table = table.append_column(_free_name(name, table.schema.names), _join_chunks(chunks))
        manifest = Manifest(
            table=table,
            columns=tuple(self._carried),
            rejected=RejectedLines(source=self._source, count=self._rejected, packed=self._packed.getvalue()),
            duplicates=self._duplicates,
            digest="",
        )
        return replace(manifest, digest=digest_series(manifest.series()))

    def _append(self) -> None:
        """Make columns of the series that were added since the last time."""
        refs, self._refs = self._refs, []
        own = {
            "root": build_array([ref.root for ref in refs], pa.string()).dictionary_encode(),
            "series_uuid": build_array([ref.series_uuid for ref in refs], pa.string()),
            "endpoint_url": build_array([ref.endpoint_url for ref in refs], pa.string()).dictionary_encode(),
            "line": build_array([ref.line for ref in refs], pa.int64()),
            "folder": build_array([ref.folder for ref in refs], pa.string()),
            "scan": build_array([ref.scan for ref in refs], pa.string()),
            "digest": build_array([ref.digest for ref in refs], pa.string()),
        }
        self._chunks.append(pa.table(own))
        rows = [ref.columns for ref in refs]
        for name in dict.fromkeys(name for names in dict.fromkeys(map(tuple, rows)) for name in names):
            if name in self._carried or len(self._carried) < MOST_COLUMNS:
                chunks = self._carried.setdefault(name, [pa.nulls(self._rows)])
                chunks.append(_build_column([row.get(name) for row in rows]))
        self._rows += len(refs)
        for chunks in self._carried.values():
            chunks.append(pa.nulls(self._rows - sum(map(len, chunks))))


def serialize_manifest(manifest: Manifest) -> bytes:
    """Write a manifest as a Parquet file, about 20 bytes a series, with all that is no series in its metadata."""
    told = {
        "format": _FORMAT,
        "columns": manifest.columns,
        "duplicates": manifest.duplicates,
        "digest": manifest.digest,
        "source": manifest.rejected.source,
        "rejected": manifest.rejected.count,
        "rejected_lines": base64.b64encode(manifest.rejected.packed).decode("ascii"),
    }
    return write_parquet(
        manifest.table.replace_schema_metadata({_METADATA_KEY: json.dumps(told)}),
        use_dictionary=[name for name in manifest.table.schema.names if name not in ("series_uuid", "line")],
        column_encoding={"line": "DELTA_BINARY_PACKED"},
    )


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest back that `serialize_manifest` wrote.

    Raises:
        ManifestError: It is damaged, or something else, or another version wrote it.
    """
    try:
        limits = {"thrift_string_size_limit": _LONGEST_METADATA}
        file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False, **limits)
        check_seal(data, file.metadata.metadata)
        told = json.loads(file.schema_arrow.metadata[_METADATA_KEY])
        if told["format"] != _FORMAT:
            raise ManifestError(f"the manifest of the run has format {told['format']}: start the run with its command")
        packed = base64.b64decode(told["rejected_lines"])
        table = file.read(use_threads=False).replace_schema_metadata(None)
        _check_parts(table, told)
        return Manifest(
            table=table,
            columns=tuple(told["columns"]),
            rejected=RejectedLines(source=told["source"], count=told["rejected"], packed=packed),
            duplicates=told["duplicates"],
            digest=told["digest"],
        )
    except (OSError, pa.ArrowException, ValueError, LookupError, TypeError, RecursionError) as error:
        raise ManifestError(f"not readable as the manifest of a run: {error}") from error


def _check_parts(table: pa.Table, told: Mapping[str, Any]) -> None:
    """Refuse what no run has written.

    Raises:
        ValueError: A column, a text or a number is not as it must be.
    """
    table.validate(full=True)
    if tuple(table.column_names[: len(_OWN_COLUMNS)]) != _OWN_COLUMNS:
        raise ValueError("it has other columns")
    if len(table.column_names) != len(_OWN_COLUMNS) + len(told["columns"]):
        raise ValueError("its carried columns are not those that it names")
    for name in _OWN_COLUMNS:
        kind = table.schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (pa.types.is_integer(kind) if name == "line" else pa.types.is_string(kind)):
            raise ValueError(f"its column {name} is of another type")
    if table.column("root").null_count or table.column("series_uuid").null_count:
        raise ValueError("a row names no series")
    if not (type(told["duplicates"]) is type(told["rejected"]) is int and isinstance(told["digest"], str)):
        raise ValueError("a count is no number")


def _free_name(name: str, taken: Sequence[str]) -> str:
    name = _plain(name)
    while name in taken:
        name = f"manifest_{name}"
    return name


def _build_column(values: Sequence[Any]) -> pa.Array:
    """Build a column of the one type that its cells have; of text where they have several, or none that Arrow knows."""
    kinds = {*map(type, values)} - {NoneType}
    if kinds <= {str}:
        return _build_texts(values) if kinds else pa.nulls(len(values))
    if len(kinds) == 1:
        try:
            return pa.array(values)
        except (pa.ArrowException, OverflowError):  # a whole number of more than 64 bits, for example
            return _build_texts([*map(_write_cell, values)])
    return _build_texts([*map(_write_cell, values)])


def _join_chunks(chunks: Sequence[pa.Array]) -> pa.ChunkedArray:
    """Join chunks to a column of the one type that they have; of text where they have several, or are all empty."""
    kinds = {chunk.type for chunk in chunks if not pa.types.is_null(chunk.type)}
    kind = kinds.pop() if len(kinds) == 1 else pa.string()
    if kinds:
        chunks = [_build_texts([*map(_write_cell, chunk.to_pylist())]) for chunk in chunks]
    return pa.chunked_array([chunk.cast(kind) for chunk in chunks if len(chunk)], kind)


def _write_cell(value: Any) -> str | None:
    """Write a cell as results show it."""
    return None if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _build_texts(texts: Sequence[str | None]) -> pa.Array:
    return build_array([text and _plain(text) for text in texts], pa.string())


def _plain(text: str) -> str:
    """Replace what UTF-8 cannot hold: JSON may hold lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
