"""Columns of tables and keys of JSON objects: which of them name the series, and which are carried along."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

_URLS = ("series_aws_url", "aws_url")
_UUIDS = ("crdc_series_uuid", "series_uuid")
_BUCKET = "aws_bucket"
_GOOGLE = ("gcs_url",)
_UID = ("seriesinstanceuid",)
_KEY_COLUMNS = (*_URLS, *_UUIDS, _BUCKET, *_GOOGLE, *_UID)


class KeyColumn(NamedTuple):
    """A column that names the series."""

    position: int
    bucket: int | None = None
    """Position of the column with the bucket that goes with it."""


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
        for position, bucket in self.keys:
            cell = row[position]
            text = cell.strip() if isinstance(cell, str) else ""
            url = "" if bucket is None else _bucket_url(row[bucket])
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
    bucket = found.get(_BUCKET)
    order: list[tuple[str, int | None]] = [(name, None) for name in _URLS]
    order += [(name, bucket) for name in _UUIDS if bucket is not None]
    order += [(name, None) for name in (*_GOOGLE, *_UUIDS, *_UID)]
    keys = tuple(KeyColumn(found[name], helper) for name, helper in order if name in found)
    return Columns(keys, others, len(names)) if keys else None


def explain_columns(what: str) -> str:
    """Say why a table or an object names no series."""
    names = ", ".join([*_URLS, *_UUIDS, *_GOOGLE, "SeriesInstanceUID"])
    return f"none of its {what} names a series: give one of {names}"


def _bucket_url(bucket: Any) -> str:
    """Return the URL of a bucket, with a slash at its end; empty where the cell is."""
    name = bucket.strip().rstrip("/") if isinstance(bucket, str) else ""
    return (f"{name}/" if "://" in name else f"s3://{name}/") if name else ""


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value or None
    return json.dumps(value, default=str) if isinstance(value, (list, dict, tuple)) else value
