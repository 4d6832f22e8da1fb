"""Rows as the page takes them: without what can be worked out again in the browser."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import Any

PLACEHOLDERS = {"series_uuid": "{uuid}", "study_instance_uid": "{study}", "series_instance_uid": "{series}"}
"""What stands in `preview` and `viewer` for the names of the series: without them these columns are all alike, and
compress to nothing."""

_DECIMALS = 4

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


def shorten_grid(text: str) -> str | None:
    """Take from the JSON of a grid what scrubbing needs.

    Positions, times and instances make up most of the text. They come last, and parsing them takes ten times as long
    as the rest.

    Returns:
        Columns, rows, tile width, tile height, and the places that are blank, with blanks between them; None where the
        text is no grid.
    """
    head, found, _ = text.partition('"positions"')
    return (_parse_grid(f"{head.rstrip(', ')}}}") if found else None) or _parse_grid(text)


@lru_cache(maxsize=1_024)
def _parse_grid(text: str) -> str | None:
    try:
        grid = json.loads(text)
        numbers = [grid["columns"], grid["rows"], grid["tile_width"], grid["tile_height"], *grid.get("blank", ())]
        return " ".join(str(int(number)) for number in numbers)
    except (ValueError, KeyError, TypeError, AttributeError):
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
    """JSON has no NaN; and a number of the page needs no more digits than a person reads."""
    if not isinstance(next((value for value in values if value is not None), None), float):
        return values
    return [None if value is None or not math.isfinite(value) else round(value, _DECIMALS) for value in values]
