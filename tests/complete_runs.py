"""What every run must come to, whatever happened on the way: each series once, and the bytes of an undisturbed run."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from dsp_batch.batch.manifest.table import Manifest, ManifestBuilder
from dsp_batch.batch.runs.result_parts import list_parts
from dsp_batch.cache import Cache, preview_key, run_files
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions
from dsp_batch.pipeline import draw_series
from dsp_batch.storage.store import Store

OPTIONS = MosaicOptions(tile_width=2)
ARGUMENTS = ("--tile-width", 2)
"""The same on the command line."""


def draw_undisturbed(root: Path, names: Iterable[str]) -> dict[str, bytes]:
    """The previews that series must have: those of the single path, without a cache."""
    store = Store(str(root))
    return {
        name: draw_series(SeriesRef(root=str(root), series_uuid=name), store, None, OPTIONS, ".webp").data
        for name in names
    }


def make_manifest(refs: Iterable[SeriesRef]) -> Manifest:
    """A manifest of these series, without any line that names none."""
    builder = ManifestBuilder("manifest")
    for ref in refs:
        builder.add(ref)
    return builder.finish()


def read_rows(cache: Cache) -> dict[str, dict[str, Any]]:
    """The rows of the one run of a cache by series, each of which must have exactly one."""
    rows = [row for run in runs_of(cache) for row in read_run(cache, run)]
    by_series = {row["series_uuid"]: row for row in rows}
    assert len(by_series) == len(rows), "a series has several rows"
    return by_series


def runs_of(cache: Cache) -> list[str]:
    """Names of the runs of a cache."""
    return sorted({entry.key.partition("/")[0] for entry in cache.list("runs")})


def read_run(cache: Cache, run: str) -> list[dict[str, Any]]:
    """All rows of a run, as a reader finds them who knows nothing of attempts."""
    parts = [_read_table(cache.read(key)) for key in list_parts(cache, run_files(run).results)]
    return [row for part in parts for row in part.to_pylist()]


def read_summary(cache: Cache) -> Any:
    """The summary of the one run of a cache."""
    (run,) = runs_of(cache)
    return json.loads(cache.read(run_files(run).summary) or b"null")


def check_previews(cache: Cache, expected: Mapping[str, bytes], name: str = "mosaic") -> None:
    """The previews under a name are these and no others, to the byte."""
    found = {entry.key for entry in cache.list(f"previews/{name}") if entry.key.endswith(".webp")}
    keys = {series: preview_key(name, series) for series in expected}
    assert found == {key.removeprefix(f"previews/{name}/") for key in keys.values()}
    assert all(cache.read(keys[series]) == data for series, data in expected.items())


def check_whole(cache: Cache) -> int:
    """Every object that a cache shows can be read from its first byte to its last.

    Returns:
        How many there are.
    """
    keys = [entry.key for entry in cache.list("")]
    for key in keys:
        data = cache.read(key)
        if data is None:  # compacted while this went on
            assert "/results/" in key
        elif key.endswith(".webp"):
            Image.open(io.BytesIO(data)).load()
        elif key.endswith(".parquet"):
            _read_table(data)
        elif key.endswith(".json"):
            json.loads(data)
        else:
            assert key.endswith(".txt"), key
    return len(keys)


def _read_table(data: bytes | None) -> pa.Table:
    return pq.read_table(pa.BufferReader(data))
