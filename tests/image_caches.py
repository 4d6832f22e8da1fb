"""Caches that hold the indices of real images and the rows that tell of them, as a run leaves both."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path
from typing import Any

from data_folder import DATA, IS_EXPECTED

from dsp_batch.batch.runs.result_parts import ResultsWriter
from dsp_batch.batch.runs.result_row import build_row
from dsp_batch.cache import Cache, open_cache
from dsp_batch.errors import DspBatchError
from dsp_batch.pipeline import describe_index, find_series, index_series
from dsp_batch.storage.store import build_store

OBJECTS = DATA / "objects"

NAMED_OTHERWISE = ("5d1a0f70", "8a1ad4ff", "b1244129")
"""Series of the pack that its catalog of objects names by what they show."""


@cache
def read_objects() -> tuple[dict[str, Any], ...]:
    """The rows of the catalog of objects; none where the folder is absent."""
    if not OBJECTS.is_dir() and not IS_EXPECTED:
        return ()
    with (OBJECTS / "catalog.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def list_image_folders() -> list[Path]:
    """The folders of all images that objects of the pack refer to."""
    own = [OBJECTS / row["folder"] for row in read_objects() if row["kind"] in ("ref", "seg")]
    text = " ".join(row["referenced"] for row in read_objects())
    prefixes = {*re.findall(r"\b[0-9a-f]{8}\b", text), *NAMED_OTHERWISE}
    others = [path for path in (DATA / "series").iterdir() if path.name[:8] in prefixes]
    return [*own, *others]


def fill_cache(folder: Path, images: list[Path]) -> Cache:
    """Write the index of each of some series to a cache, and a row that tells where it is."""
    kept = open_cache(str(folder))
    rows = []
    for path in images:
        ref = find_series(path)
        try:
            index = index_series(ref, build_store(ref.root), kept)
        except DspBatchError:
            continue
        rows.append(build_row(ref, "done", 1, **describe_index(index)))
    writer = ResultsWriter(cache=kept, folder="runs/images/results", attempt=1)
    writer.add(rows)
    writer.flush()
    return kept
