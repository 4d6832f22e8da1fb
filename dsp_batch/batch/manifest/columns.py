"""Columns of tables and keys of JSON objects: which of them name the series, and which are carried along."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

_SCHEMES = {"aws_bucket": "s3", "gcs_bucket": "gs"}
"""Column with a bucket → scheme of its URL."""

_ORDER: tuple[tuple[str, str | None], ...] = (
    ("series_aws_url", None),
    ("aws_url", None),
    ("crdc_series_uuid", "aws_bucket"),
    ("series_uuid", "aws_bucket"),
    ("gcs_url", None),
    ("crdc_series_uuid", "gcs_bucket"),
    ("series_uuid", "gcs_bucket"),
    ("crdc_series_uuid", None),
    ("series_uuid", None),
    ("seriesinstanceuid", None),
)
"""Columns that name the series, best first, and the column with the bucket that goes with them."""

_KEY_COLUMNS = frozenset(name for names in _ORDER for name in names if name)


class KeyColumn(NamedTuple):
    """A column that names the series."""

    position: int
    bucket: int | None = None
    """Position of the column with the bucket that goes with it."""

    scheme: str = ""
    """Scheme of the URL of that bucket."""


class Columns(NamedTuple):
    """The columns of a table, sorted into those that name the series and the others."""

    keys: tuple[KeyColumn, ...]
    """The columns that name the series, best first."""

    others: Mapping[str, int]
    """Name → position of the columns that are carried along."""

    width: int
    """Number of all columns."""

    def list_names(self, row: Sequence[Any]) -> Iterator[str]:
        """List what the key columns of a row say of its series, best first, without those that are empty."""
        for position, bucket, scheme in self.keys:
            cell = row[position]
            text = cell.strip() if isinstance(cell, str) else ""
            url = "" if bucket is None else _bucket_url(row[bucket], scheme)
            if text and (url or bucket is None):
                yield url + text

    def carry(self, row: Sequence[Any]) -> dict[str, Any]:
        """Return the cells of the other columns, as a result row can hold them."""
        return {name: _plain(row[position]) for name, position in self.others.items()}


@lru_cache(maxsize=256)
def match_columns(names: tuple[str, ...]) -> Columns | None:
    """Sort the columns of a table by their names.

    Returns:
        None where no column names a series.
    """
    found: dict[str, int] = {}
    others: dict[str, int] = {}
    for position, name in enumerate(names):
        folded = name.strip().lower()
        if folded in _KEY_COLUMNS and folded not in found:
            found[folded] = position
        elif name:
            others[name if name not in others else f"{name}_{position + 1}"] = position
    order = [(name, bucket) for name, bucket in _ORDER if name in found and (bucket is None or bucket in found)]
    keys = tuple(
        KeyColumn(found[name], found[bucket], _SCHEMES[bucket]) if bucket else KeyColumn(found[name])
        for name, bucket in order
    )
    return Columns(keys, others, len(names)) if keys else None


def explain_columns(what: str) -> str:
    """Say why a table or an object names no series."""
    names = "series_aws_url, aws_url, crdc_series_uuid, series_uuid, gcs_url, SeriesInstanceUID"
    return f"none of its {what} names a series: give one of {names}"


def _bucket_url(bucket: Any, scheme: str) -> str:
    """Return the URL of a bucket, with a slash at its end; empty where the cell is."""
    name = bucket.strip().rstrip("/") if isinstance(bucket, str) else ""
    return (f"{name}/" if "://" in name else f"{scheme}://{name}/") if name else ""


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value or None
    return json.dumps(value, default=str) if isinstance(value, (list, dict, tuple)) else value
