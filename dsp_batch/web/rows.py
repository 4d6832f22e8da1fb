"""Rows as the page takes them: without what can be worked out again in the browser."""

from __future__ import annotations

import json
import math
from typing import Any

PLACEHOLDERS = {"series_uuid": "{uuid}", "study_instance_uid": "{study}", "series_instance_uid": "{series}"}
"""What stands in `preview` and `viewer` for the names of the series: without them these columns are all alike, and
compress to nothing."""

_PREFIX = "{prefix}"
"""Stands for the first two characters of the UUID."""


def compact_rows(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Shorten addresses to templates and grids to what scrubbing needs, and make all values fit for JSON.

    Args:
        columns: Column → its value in each row. It is not modified.
    """
    compact = {name: _plain(values) for name, values in columns.items()}
    if "preview" in compact:
        pairs = zip(compact["preview"], compact["series_uuid"], strict=True)
        compact["preview"] = [key and _shorten_key(key, uuid) for key, uuid in pairs]
    if "viewer" in compact:
        compact["viewer"] = _shorten_viewers(compact)
    if "grid" in compact:
        compact["grid"] = [text and shorten_grid(text) for text in compact["grid"]]
    return compact


def shorten_grid(text: str) -> list[Any] | None:
    """Take columns, rows, tile width, tile height and blank places from the JSON of a grid; None where it is none.

    Positions, times and instances make up most of the text. They come last, and parsing them takes ten times as long
    as the rest.
    """
    head, found, _ = text.partition('"positions"')
    for candidate in (f"{head.rstrip(', ')}}}" if found else text, text):
        try:
            grid = json.loads(candidate)
            return [*(int(grid[name]) for name in ("columns", "rows", "tile_width", "tile_height")), grid["blank"]]
        except (ValueError, KeyError, TypeError):
            continue
    return None


def list_pictures(columns: dict[str, list[Any]]) -> list[str | None]:
    """List the key of the preview of each row below the cache directory; None where there is none."""
    keys = columns.get("preview", [None] * len(columns["series_uuid"]))
    return [
        key and key.replace("{prefix}", uuid[:2]).replace("{uuid}", uuid)
        for key, uuid in zip(keys, columns["series_uuid"], strict=True)
    ]


def _shorten_key(key: str, uuid: str) -> str:
    return key.replace(f"/{uuid[:2]}/{uuid}.", f"/{_PREFIX}/{{uuid}}.")


def _shorten_viewers(columns: dict[str, list[Any]]) -> list[str | None] | list[Any]:
    absent = [None] * len(columns["viewer"])
    studies = columns.get("study_instance_uid", absent)
    series = columns.get("series_instance_uid", absent)
    return [
        viewer.replace(one, PLACEHOLDERS["study_instance_uid"]).replace(other, PLACEHOLDERS["series_instance_uid"])
        if viewer and one and other
        else None
        for viewer, one, other in zip(columns["viewer"], studies, series, strict=True)
    ]


def _plain(values: list[Any]) -> list[Any]:
    if any(isinstance(value, float) for value in values[:1] + [v for v in values if v is not None][:1]):
        return [None if value is None or not math.isfinite(value) else value for value in values]
    return values
