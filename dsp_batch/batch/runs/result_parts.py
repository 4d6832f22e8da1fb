"""Result rows as Parquet parts, which are written while a run goes on."""

from __future__ import annotations

import json
import logging
import math
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

import pyarrow as pa

from dsp_batch.batch.clock import MACHINE_CLOCK, Clock
from dsp_batch.batch.outage import LONGEST_OUTAGE, lasting_outage
from dsp_batch.batch.runs.result_row import SeriesResult, tell_sources
from dsp_batch.cache import Cache
from dsp_batch.errors import DspBatchError, SinkError, UnavailableError, printable
from dsp_batch.idc.index import open_idc_index
from dsp_batch.index.arrays import read_parquet, write_parquet

_log = logging.getLogger(__name__)

ROWS_PER_PART = 20_000
"""Rows that one part holds, at most."""

SECONDS_PER_PART = 2.0
"""Seconds between two parts in the first minutes of a run. Later they are `SHARE_PER_PART` of its time."""

SHARE_PER_PART = 0.01
"""Share of its rows that a killed run loses, at most. A run of a week writes 800 parts."""

SECONDS_BETWEEN_LOOKS = 10.0
"""Seconds between two looks at the cache while nothing is written to it. Workers may be waiting for it."""

_SECONDS_KEY = b"dsp_batch_seconds"
"""Key of the metadata of a part that holds the seconds of its attempt."""

_TYPES = {
    "series_number": pa.int32(),
    "rows": pa.int32(),
    "columns": pa.int32(),
    "n_items": pa.int64(),
    "references": pa.list_(pa.string()),
    "n_instances": pa.int32(),
    "n_frames": pa.int32(),
    "n_tiles": pa.int32(),
    "window_center": pa.float64(),
    "window_width": pa.float64(),
    "width": pa.int32(),
    "height": pa.int32(),
    "preview_bytes": pa.int64(),
    "bytes_read": pa.int64(),
    "requests": pa.int64(),
    "seconds_headers": pa.float64(),
    "seconds_index": pa.float64(),
    "seconds_render": pa.float64(),
    "attempt": pa.int32(),
}
_PLACES = frozenset({"series_uuid", "root", "folder", "endpoint_url", "preview"})
"""Columns that name where something is, as it is spelt there."""

SCHEMA = pa.schema(
    [(f.name, _TYPES.get(f.name, pa.string())) for f in fields(SeriesResult) if f.name != "manifest_columns"]
)
"""The columns of a result row; the manifest's other columns follow as text."""


def carried_names(columns: Iterable[str]) -> dict[str, str]:
    """Name the manifest's columns in the results: with `manifest_` before a name that is taken.

    Small letters and capitals make no difference, as in SQL.

    Args:
        columns: Columns of the manifest.

    Returns:
        Column of the manifest → column of the results.
    """
    taken = {name.lower() for name in SCHEMA.names}
    names: dict[str, str] = {}
    for column in columns:
        name = _plain(column)
        while name.lower() in taken:
            name = f"manifest_{name}"
        taken.add(name.lower())
        names[column] = name
    return names


def result_schema(columns: Iterable[str]) -> pa.Schema:
    """Make the schema of the results of a run whose manifest carries these columns."""
    return pa.schema([*SCHEMA, *(pa.field(name, pa.string()) for name in carried_names(columns).values())])


def build_table(rows: Sequence[SeriesResult], columns: Sequence[str] = ()) -> pa.Table:
    """Build a table of result rows.

    Args:
        rows: The rows.
        columns: Columns of the manifest to carry. They are null in rows that lack them.
    """
    arrays = [_build_array(field, [*map(attrgetter(field.name), rows)]) for field in SCHEMA]
    arrays += [_build_texts([row.manifest_columns.get(column) for row in rows], _text) for column in columns]
    return pa.Table.from_arrays(arrays, schema=result_schema(columns))


def _build_array(field: pa.Field, values: list[Any]) -> pa.Array:
    if not pa.types.is_string(field.type):
        return pa.array(values, field.type)
    return _build_texts(values, _text if field.name in _PLACES else _printable_text)


def _build_texts(values: list[Any], write: Callable[[Any], str | None]) -> pa.Array:
    return pa.array([None if value is None else write(value) for value in values], pa.string())


def _printable_text(value: Any) -> str | None:
    """Write out control characters of texts that headers and servers told; names of places are looked up by."""
    return _plain(printable(value)) if isinstance(value, str) else _text(value)


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    return _plain(json.dumps(value) if isinstance(value, dict | list) else str(value))


def _plain(text: str) -> str:
    """Make a text that UTF-8 can hold: names of files that are no UTF-8 come with lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


@dataclass(slots=True, kw_only=True)
class ResultsWriter:
    """Gathers rows and writes them as parts of one attempt, every few seconds."""

    cache: Cache
    folder: str
    """Key of `runs/{RUN}/results`."""

    attempt: int
    """Number of the attempt, from 1."""

    columns: tuple[str, ...] = ()
    """Columns of the manifest that the rows carry."""

    rows: list[SeriesResult] = field(default_factory=list)
    """Rows that are not written yet."""

    parts: int = 0
    """Parts that have been written."""

    token: str = field(default_factory=lambda: secrets.token_hex(4))
    """Tells the parts of this writer from those of another that does the same run at the same time."""

    longest_outage: float = LONGEST_OUTAGE
    """Seconds that rows are held back for while the cache cannot be written."""

    clock: Clock = MACHINE_CLOCK
    begin: float = field(init=False)
    """When the attempt began."""

    flushed: float = field(init=False)
    """When a part was last written, or the writing last failed."""

    looked: float = field(init=False)
    """When the cache last answered, or was last looked at."""

    failed: float | None = None
    """When the present outage of the cache began; None where there is none."""

    is_away: bool = False
    """True where the cache did not answer when it was last looked at."""

    def __post_init__(self) -> None:
        self.begin = self.flushed = self.looked = self.clock.now()

    def open(self) -> None:
        """Write a part without rows where there is none yet: readers find a table from the first moment.

        Raises:
            SinkError: The cache cannot be written.
        """
        if not list_parts(self.cache, self.folder):
            self._write([])

    def add(self, rows: Iterable[SeriesResult]) -> None:
        """Take up rows, and write a part when it is time or enough have come together.

        Raises:
            SinkError: The cache cannot be written, or could not for long.
        """
        self.rows.extend(tell_sources([*rows], open_idc_index()))
        now = self.clock.now()
        late = now - self.flushed >= max(SECONDS_PER_PART, SHARE_PER_PART * (now - self.begin))
        if not self.rows:
            self.flushed = now if late else self.flushed
            self._look(now)
            return
        if not late and (self.failed is not None or len(self.rows) < ROWS_PER_PART):
            return
        try:
            self.flush()
        except UnavailableError as error:
            if self.failed is None:
                _log.warning("result rows are held back for up to %.0f s: %s", self.longest_outage, error.message)
            self.flushed, self.failed = self.clock.now(), self.failed or now
            if self.flushed - self.failed > self.longest_outage:
                raise lasting_outage(error, self.flushed - self.failed) from error

    def flush(self) -> None:
        """Write all rows that are held.

        Raises:
            SinkError: The cache cannot be written; the rows are still held.
        """
        while self.rows:
            self._write(self.rows[:ROWS_PER_PART])
            del self.rows[:ROWS_PER_PART]
        self.flushed = self.looked = self.clock.now()
        self.failed = None

    def _look(self, now: float) -> None:
        """Warn of a cache that does not answer: workers that wait for it may be why no rows come."""
        if now - self.looked < SECONDS_BETWEEN_LOOKS:
            return
        try:
            self.cache.read(f"{self.folder.removesuffix('/results')}/job.json")
        except DspBatchError as error:
            if not self.is_away:
                _log.warning("the cache does not answer, workers wait for it: %s", error.message)
            self.is_away = True
        else:
            if self.is_away:
                _log.warning("the cache answers again")
            self.is_away = False
        self.looked = self.clock.now()

    def _write(self, rows: Sequence[SeriesResult]) -> None:
        key = f"{self.folder}/part-{self.attempt:04d}-{self.token}-{self.parts:06d}.parquet"
        table = note_seconds(build_table(rows, self.columns), self.clock.now() - self.begin)
        self.cache.write(key, write_parquet(table))
        self.parts += 1

    def rescue(self) -> None:
        """Write the rows that are held when a run ends with an error; where that fails, a warning counts them."""
        try:
            self.flush()
        except SinkError as error:
            _log.warning("%d rows are lost, the same command makes them again: %s", len(self.rows), error.message)


def note_seconds(table: pa.Table, seconds: float) -> pa.Table:
    """Note in a table how many seconds its attempt had taken, so that readers of the part need not trust clocks."""
    return table.replace_schema_metadata({_SECONDS_KEY: f"{seconds:.6f}"})


def read_seconds(cache: Cache, key: str) -> float | None:
    """Read how many seconds an attempt had taken when it wrote a part; None where the part does not say."""
    noted = (read_part(cache, key).schema.metadata or {}).get(_SECONDS_KEY)
    try:
        return float(noted) if noted is not None else None
    except ValueError as error:
        raise SinkError(f"{cache.url_of(key)} is damaged ({error}): move it away, and run again") from error


def list_parts(cache: Cache, folder: str) -> list[str]:
    """List the keys of the parts of a run, oldest attempt first."""
    names = sorted(entry.key for entry in cache.list(folder))
    return [f"{folder}/{name}" for name in names if name.startswith("part-") and name.endswith(".parquet")]


def read_part(cache: Cache, key: str, columns: list[str] | None = None) -> pa.Table:
    """Read one part.

    Args:
        cache: The cache directory.
        key: Key of the part.
        columns: Columns to read, which are null where another version wrote none; None for all that are there.

    Raises:
        SinkError: The part is gone, or it is no Parquet.
    """
    data = cache.read(key)
    if data is None:
        raise SinkError(f"{cache.url_of(key)} is gone: is the same run going on elsewhere? run again after it")
    try:
        table = read_parquet(data, columns)
        _check_names(table)
        # Every reader must be able to count on the columns that all parts have, and on texts that are text.
        own = [field for field in SCHEMA if columns is None or field.name in columns]
        conformed = conform_table(table, pa.schema(own))
        conformed.validate(full=True)
        _check_keys(conformed)
        return table if columns is None else conformed.select(columns)
    except (pa.ArrowException, OSError, LookupError, ValueError) as error:
        cause = " ".join(str(error).split())
        raise SinkError(
            f"{cache.url_of(key)} is no part of this version ({cause}): move it away, and run again"
        ) from error


def _check_names(table: pa.Table) -> None:
    if len(set(table.column_names)) < table.num_columns:
        raise ValueError("two of its columns have one name")


def _check_keys(table: pa.Table) -> None:
    """Refuse a table of something else.

    Raises:
        ValueError: A row does not tell its series, its root, its attempt or its status.
    """
    for name in ("series_uuid", "root", "attempt", "status"):
        if name in table.column_names and table.column(name).null_count:
            raise ValueError(f"rows without {name}")


def conform_table(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Bring a table to the columns of a schema. Columns that it lacks are null."""
    arrays = [
        table.column(f.name).cast(f.type) if f.name in table.column_names else pa.nulls(len(table), f.type)
        for f in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def unite_schemas(schemas: Sequence[pa.Schema], url: str) -> pa.Schema:
    """Unite the columns of all parts of a run: those of this version as it has them, others as they were found.

    Args:
        schemas: Schema of this version, then those of the parts.
        url: Folder of the parts, for the message.

    Raises:
        SinkError: A column has types that do not go together.
    """
    own = schemas[0]
    try:
        found = pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        cause = " ".join(str(error).split())
        raise SinkError(
            f"{url} holds parts of another version ({cause}): go on with that, or move them away"
        ) from error
    return pa.schema([own.field(each.name) if each.name in own.names else each for each in found])
