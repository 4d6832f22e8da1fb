"""Cache directories for tests of the gallery: rows and pictures as runs leave them, without the runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np

from dsp_batch.batch.runs.result_parts import build_table
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.cache import Cache, open_cache, preview_key, run_files
from dsp_batch.core.encoding import encode_image
from dsp_batch.index.arrays import write_parquet

COLUMNS, ROWS, TILE = 3, 2, 64
"""The grid of a picture with several tiles."""

MODALITIES = ("CT", "MR", "PT", "SR")


def series_uuid(number: int) -> str:
    return str(uuid5(NAMESPACE_OID, f"1.2.3.{number}"))


def draw_grid(number: int) -> bytes:
    """A picture of 3 × 2 tiles of different grays, the last one blank."""
    pixels = np.zeros((ROWS * TILE, COLUMNS * TILE), np.uint8)
    for place in range(COLUMNS * ROWS - 1):
        row, column = divmod(place, COLUMNS)
        pixels[row * TILE + 4 : (row + 1) * TILE - 4, column * TILE + 4 : (column + 1) * TILE - 4] = (
            40 + 40 * place + number % 16
        )
    return encode_image(pixels, ".webp", 50)


def grid_json() -> str:
    count = COLUMNS * ROWS
    return json.dumps(
        {
            "columns": COLUMNS,
            "rows": ROWS,
            "tile_width": TILE,
            "tile_height": TILE,
            "blank": [count - 1],
            "failed": [],
            "positions": [float(place) for place in range(count)],
            "times": [None] * count,
            "instances": [f"1.2.3.4.{place}" for place in range(count)],
            "frames": [0] * count,
        }
    )


def make_row(number: int, name: str = "preview", root: str = "s3://idc-open-data", **values: Any) -> SeriesResult:
    """One row: every tenth has failed, every seventh of the others was skipped."""
    uuid = series_uuid(number)
    status: Any = "failed" if number % 10 == 9 else "skipped" if number % 7 == 6 else "done"
    patient = number // 6
    columns = {
        "collection_id": f"collection_{patient % 3}",
        "patient_id": f"PAT-{patient:05d}",
        "study_date": f"2021{1 + number % 12:02d}{1 + number % 28:02d}",
        "study_description": f"Study of {patient}",
        "series_description": f"Series number {number}",
        "series_number": number % 6,
        "body_part": ("CHEST", "HEAD", "ABDOMEN")[number % 3],
        "manufacturer": f"Maker {number % 4}",
        "drawn_as": "mosaic",
        "license": "CC BY 4.0" if number % 2 else "CC BY-NC 3.0",
        "source_doi": f"10.7937/{patient % 3}",
        "grid": grid_json() if status == "done" else None,
        "summary": json.dumps([f"line one of {number}", "line two"]),
    }
    columns.update(values.pop("columns", {}))
    own = {each.name: columns.pop(each.name) for each in fields(SeriesResult) if each.name in columns}
    known: dict[str, Any] = {
        "series_uuid": uuid,
        "root": root,
        "status": status,
        "reason": {"failed": "bad-pixels", "skipped": "no-pixels"}.get(status),
        "error": f"frame 3 of {uuid} is cut off" if status == "failed" else None,
        "series_instance_uid": f"1.2.3.{number}",
        "study_instance_uid": f"1.2.3.4.{number // 3}",
        "modality": MODALITIES[number % len(MODALITIES)],
        "viewer": "https://viewer.example/v3/"
        f"?StudyInstanceUIDs=1.2.3.4.{number // 3}&initialSeriesInstanceUID=1.2.3.{number}",
        "preview": preview_key(name, uuid) if status == "done" else None,
        "n_instances": 1 + number * 7 % 400,
        "bytes_read": 1000 * number,
        "manifest_columns": columns,
    }
    return SeriesResult(**{**known, **own, **values})


def write_run(
    cache: Cache,
    rows: Sequence[SeriesResult],
    *,
    name: str = "preview",
    run: str | None = None,
    started: str = "2026-01-01T00:00:00+00:00",
    ended: bool = True,
    verb: str = "mosaic",
) -> str:
    """Write a run with these rows, and a picture for each that has one."""
    run = run or f"{verb}-{name}-0123456789ab"
    job = {"verb": verb, "name": name, "attempt": 1, "since": 1, "series": len(rows), "started": started}
    job |= {"run": run, "manifest": "manifest.txt", "endpoint_url": None}
    job |= {
        "options": {"image_width": 64, "tile_width": 3, "overlays": False, "contrast": {"kind": "auto", "window": None}}
    }
    cache.write(run_files(run).job, json.dumps(job).encode())
    write_part(cache, run, rows)
    if ended:
        end_run(cache, run)
    pictures = [draw_grid(number) for number in range(16)]
    for number, row in enumerate(rows):
        if row.preview:
            cache.write(row.preview, pictures[number % 16])
    return run


def write_part(cache: Cache, run: str, rows: Sequence[SeriesResult], number: int = 0) -> None:
    """Write rows as one part of a run."""
    names = list(dict.fromkeys(name for row in rows for name in row.manifest_columns))
    cache.write(f"runs/{run}/results/part-0001-aaaaaaaa-{number:06d}.parquet", write_parquet(build_table(rows, names)))


def end_run(cache: Cache, run: str) -> None:
    cache.write(run_files(run).summary, json.dumps({"attempt": 1, "left": 0}).encode())


def make_cache(folder: Path, count: int, **settings: Any) -> Cache:
    """A cache directory with one run of `preview` over some series."""
    cache = open_cache(str(folder))
    write_run(cache, [make_row(number) for number in range(count)], **settings)
    return cache


def batches(count: int, size: int) -> Iterator[range]:
    for start in range(0, count, size):
        yield range(start, min(start + size, count))
