"""What notebooks show of a run: counts and failures of its summary, and pictures of its results."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from dsp_batch.cache import Cache, open_cache
from dsp_batch.errors import printable

SOURCE_KEY = b"dsp_batch_cache"
"""Key of the metadata of a table of results that names its cache, as a JSON object."""

_ORDER = ("done", "kept", "skipped", "failed", "left")
"""Statuses in the order in which they are told."""

_MOST_PICTURES = 12
_PICTURE_HEIGHT = 160
"""Pixels of a preview in a notebook."""


def describe_source(cache: Cache) -> dict[bytes, bytes]:
    """Make the metadata of a table of results, by which a notebook finds the pictures."""
    return {SOURCE_KEY: json.dumps({"url": cache.url, "endpoint_url": cache.endpoint_url}).encode()}


def show_tables_of_results(table_type: type[Any]) -> None:
    """Make the notebook that this process serves, if any, show tables of results by their pictures.

    Args:
        table_type: The type of the tables. Other tables of that type are shown as before.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        shell.display_formatter.formatters["text/html"].for_type(table_type, write_results_html)


def write_results_html(table: Any) -> str | None:
    """Write the first pictures of a table of results, with what each shows, and how many rows there are of each status.

    Args:
        table: A `pyarrow.Table`.

    Returns:
        HTML; None for a table that is none of results.
    """
    source = (table.schema.metadata or {}).get(SOURCE_KEY)
    if source is None or not {"series_uuid", "status", "preview"} <= set(table.column_names):
        return None
    place = json.loads(source)
    cache = open_cache(place["url"], place["endpoint_url"])
    counts = _count(table.column("status").to_pylist())
    drawn = table.filter(table.column("preview").is_valid()).slice(0, _MOST_PICTURES).to_pylist()
    figures = "".join(_write_figure(row, cache.read(row["preview"])) for row in drawn)
    return f"<p>{escape(_describe_counts(counts))}</p><div>{figures}</div>"


def write_summary_html(run: str, counts: Mapping[str, int], failures: Sequence[tuple[str, str]], products: str) -> str:
    """Write the summary of a run.

    Args:
        run: Name of the run.
        counts: Series by status.
        failures: Name and reason of the first series that failed.
        products: Where the previews or the indices are.
    """
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(why)}</td></tr>" for name, why in failures)
    table = f"<table><tr><th>failed</th><th>why</th></tr>{rows}</table>" if rows else ""
    return f"<p><b>{escape(run)}</b>: {escape(_describe_counts(counts))}, in {escape(products)}</p>{table}"


def _count(statuses: Sequence[str | None]) -> dict[str, int]:
    return {status: statuses.count(status) for status in dict.fromkeys(statuses) if status}


def _describe_counts(counts: Mapping[str, int]) -> str:
    order = sorted(counts, key=lambda status: _ORDER.index(status) if status in _ORDER else len(_ORDER))
    parts = ", ".join(f"{counts[status]:,} {status}" for status in order if counts[status])
    return f"{sum(counts.values()):,} series: {parts or 'none'}"


def _write_figure(row: Mapping[str, Any], data: bytes | None) -> str:
    caption = printable(row.get("title") or row.get("series_description") or row["series_uuid"])
    picture = "<i>the preview is gone</i>"
    if data is not None:
        text = base64.b64encode(data).decode("ascii")
        name = f'alt="{escape(caption)}" title="{escape(row["series_uuid"])}"'
        picture = f'<img src="data:image/webp;base64,{text}" {name} style="height:{_PICTURE_HEIGHT}px">'
    style = "display:inline-block;margin:4px;text-align:center;vertical-align:top"
    return f'<figure style="{style}">{picture}<figcaption>{escape(caption[:40])}</figcaption></figure>'
