"""The folder of real DICOM data, and what its catalog says."""

from __future__ import annotations

import csv
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dsp_batch.dicom.headers.read import read_header
from dsp_batch.fetch import fetch_headers
from dsp_batch.index.build import build_index
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.ranges import read_bytes
from dsp_batch.model.series import InstanceHeader, SeriesHeaders, SeriesRef
from dsp_batch.options import IndexOptions
from dsp_batch.storage.store import Store

_SHARED = Path(__file__).parents[2] / "shared"
DATA = Path(os.environ.get("DSP_DATA") or _SHARED / "data")

IS_EXPECTED = bool(os.environ.get("DSP_DATA")) or (bool(os.environ.get("CI")) and _SHARED.is_dir())
"""Whether the data not being there is a fault of the set-up and not a bare checkout."""

needs_data = pytest.mark.skipif(
    not DATA.is_dir() and not IS_EXPECTED, reason="the folder of real DICOM data is not here (DSP_DATA)"
)


@cache
def read_catalog() -> tuple[dict[str, Any], ...]:
    """The rows of catalog.csv; none where the folder is absent."""
    if not DATA.is_dir() and not IS_EXPECTED:
        return ()
    with (DATA / "catalog.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def select_series(*kinds: str) -> list[str]:
    """UUIDs of the series of these kinds."""
    return [row["series_uuid"] for row in read_catalog() if row["kind"] in kinds]


def list_objects(folder: Path) -> list[Path]:
    """The objects below a folder of the data, without the lists that describe them."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".csv")


def open_store() -> Store:
    """The store of the real series."""
    return Store(str(DATA / "series"))


def make_ref(series_uuid: str) -> SeriesRef:
    """A real series."""
    return SeriesRef(root=open_store().root, series_uuid=series_uuid)


@cache
def load_headers(series_uuid: str) -> SeriesHeaders:
    """The headers of a real series, read once for all tests."""
    return fetch_headers(make_ref(series_uuid), open_store(), IndexOptions())


@cache
def load_real_index(series_uuid: str) -> SeriesIndex:
    """The index of a real series, built once for all tests."""
    return build_index(load_headers(series_uuid))


def parse_file(path: Path, *, bulk: frozenset[int] | None = frozenset()) -> InstanceHeader:
    """The header of a file, read from memory."""
    data = path.read_bytes()
    return read_bytes(read_header(path.name, len(data), bulk=bulk), data)
