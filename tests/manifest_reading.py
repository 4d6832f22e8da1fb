"""Manifests of tests: series that they name, and what each of their lines comes to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from dsp_batch.batch.manifest.entries import Entry
from dsp_batch.batch.manifest.folders import Folders
from dsp_batch.batch.manifest.lookup import Lookup
from dsp_batch.batch.manifest.read import read_entries
from dsp_batch.batch.manifest.rejected import RejectedLine
from dsp_batch.batch.manifest.source import Source, label_source
from dsp_batch.errors import StorageError
from dsp_batch.model.series import SeriesRef
from dsp_batch.scan.folder_scan import ALL_FOLDERS, FolderScan, FoundSeries, keep_parts, scan_here
from dsp_batch.storage.store import Store

A = "28621ba9-1aca-4aab-a2a1-f6d2c3e2ab19"
B = "38902e14-b11f-4548-910e-771ee757dc82"
C = "fb0a1f2c-0000-4000-8000-000000000001"
INSTANCE = "6b2b0f0c-2a3e-4d5c-9a93-0c4b7e7f6a51"
GOOGLE = "https://storage.googleapis.com"
AWS_COMMENT = "# s5cmd --no-sign-request --endpoint-url https://s3.amazonaws.com run manifest.s5cmd\n"
GOOGLE_COMMENT = f"# s5cmd --no-sign-request --endpoint-url {GOOGLE} run manifest.s5cmd\n"
OPEN = "s3://idc-open-data"
MINE = "s3://mine"


def find_one_series(folders: Folders, unlisted: dict[str, StorageError]) -> Iterator[SeriesRef]:
    """Find a series in each folder that a line names, whether it is there or not; walk a root as programs do."""
    if folders.names == ALL_FOLDERS:
        with keep_parts(None) as parts:
            scan = FolderScan(store=Store(folders.root), cache=parts, unlisted=unlisted)
            yield from (each.ref if isinstance(each, FoundSeries) else each for each in scan_here(scan))
    for name in filter(None, folders.names):
        yield SeriesRef(folders.root, str(uuid5(NAMESPACE_URL, f"{folders.root}/{name}")), folder=name)


NO_INDEX = Lookup(
    index=None, store_of=lambda root, endpoint_url: Store(root, endpoint_url=endpoint_url), scan=find_one_series
)


def entries(tmp_path: Path, content: str | bytes, lookup: Lookup = NO_INDEX, **options: Any) -> list[Entry]:
    """What each line of a manifest with this content comes to."""
    path = tmp_path / "manifest.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [*stream(str(path), lookup, **{"label": "manifest.txt"} | options)]


def stream(
    source: Source,
    lookup: Lookup = NO_INDEX,
    *,
    root: str = OPEN,
    endpoint_url: str | None = None,
    label: str | None = None,
) -> Iterator[Entry]:
    """What each line of a manifest comes to, one after the other."""
    return read_entries(source, root, endpoint_url, lookup, label or label_source(source))


def urls(found: list[Entry]) -> list[str]:
    """Where the series are; anything else fails the test."""
    assert not [entry for entry in found if not isinstance(entry, SeriesRef)]
    return [entry.url for entry in found if isinstance(entry, SeriesRef)]


def reasons(found: list[Entry]) -> list[str]:
    return [str(entry) for entry in found if isinstance(entry, RejectedLine)]


def write_manifest(tmp_path: Path, content: str) -> str:
    """The path of a manifest with this content."""
    (tmp_path / "m.txt").write_text(content)
    return str(tmp_path / "m.txt")
