"""A cache directory as a source: the series of its runs, and its gallery as the first page."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dsp_batch.batch.runs.newest import RunRows, fold_newest, list_named_runs
from dsp_batch.cache import Cache, open_cache
from dsp_batch.index.parquet import parse_index
from dsp_batch.model.identifiers import normalise_uuid
from dsp_batch.model.series import SeriesRef
from dsp_batch.storage.urls import local_path
from dsp_batch.web.gallery import GalleryOptions, write_gallery
from dsp_batch.web.viewer.server.answers import ApiAnswer
from dsp_batch.web.viewer.sources import ListedSeries

_FOLDERS = ("runs", "indices")
"""Folders that make a folder a cache directory."""

_FACTS = {
    "series_instance_uid": "series_instance_uid",
    "study_instance_uid": "study_instance_uid",
    "modality": "modality",
    "description": "series_description",
    "patient_id": "patient_id",
    "study_date": "study_date",
    "study_description": "study_description",
    "body_part": "body_part",
    "series_number": "series_number",
    "frame_count": "n_frames",
}
"""Fields of a series in the API → columns of result rows."""

_PLACE = ("series_uuid", "root", "folder", "endpoint_url")

_LINKED = re.compile(r"previews/(?!\.)[\w.-]+/[0-9a-f]{2}/[0-9a-f-]{36}\.webp|indices/[0-9a-f-]{36}_index\.parquet")
"""Keys of what the page shows and links. Nothing else of a cache is sent."""

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".webp": "image/webp",
    ".parquet": "application/vnd.apache.parquet",
}


def find_cache(source: str, endpoint_url: str | None) -> Cache | None:
    """Open a source as a cache directory; None where it is none.

    Raises:
        StorageError: It is a bucket that cannot be listed.
    """
    if "://" not in source and not Path(source).is_dir():
        return None
    path = local_path(source)
    if path is not None:
        return open_cache(path, endpoint_url) if any((path / name).is_dir() for name in _FOLDERS) else None
    if not source.startswith(("s3://", "gs://", "az://")) or normalise_uuid(source.rstrip("/*").rpartition("/")[2]):
        return None
    cache = open_cache(source, endpoint_url)
    return cache if any(next(cache.list(name), None) for name in _FOLDERS) else None


def list_cached_series(cache: Cache) -> Iterator[ListedSeries]:
    """List the series of all runs of a cache; where there is no run, those that it has indices of.

    Raises:
        StorageError: The cache cannot be read.
    """
    runs = list_named_runs(cache)
    if runs:
        yield from fold_newest(cache, runs, lambda name: name in {*_PLACE, *_FACTS.values(), "attempt"}, _gather)
        return
    for key in cache.list("indices"):
        data = cache.read(f"indices/{key.key}")
        if data is not None:
            index = parse_index(data)
            yield ListedSeries(SeriesRef(index.root, index.series_uuid, folder=index.folder))


def _gather(parts: Iterator[RunRows]) -> list[ListedSeries]:
    found: list[ListedSeries] = []
    for _, columns in parts:
        blank = [None] * len(columns["series_uuid"])
        places = zip(*(columns.get(name, blank) for name in _PLACE), strict=True)
        for row, (series_uuid, root, folder, endpoint_url) in enumerate(places):
            facts = {field: columns[name][row] for field, name in _FACTS.items() if name in columns}
            ref = SeriesRef(root or "", series_uuid or "", endpoint_url=endpoint_url, folder=folder)
            found.append(ListedSeries(ref, facts))
    return found


class ServedGallery:
    """The gallery of a cache, as the server sends it. Its files lie in a folder that ends with the viewer.

    Args:
        cache: The cache directory.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._folder = tempfile.TemporaryDirectory(prefix="dsp-batch-gallery-")
        output = Path(self._folder.name, "gallery")
        output.mkdir()
        write_gallery(cache, GalleryOptions(output=str(output), atlas=False, served=True))
        self._files = {f"gallery/{each.relative_to(output)}": each for each in output.rglob("*") if each.is_file()}

    def find(self, name: str) -> ApiAnswer | None:
        """Find a file of the page, or a preview or an index of the cache; None where there is none."""
        file = self._files.get(name)
        if file is not None:
            return ApiAnswer(body=file.read_bytes(), media_type=_MEDIA_TYPES[file.suffix])
        data = self._cache.read(name) if _LINKED.fullmatch(name) else None
        return None if data is None else ApiAnswer(body=data, media_type=_MEDIA_TYPES[Path(name).suffix])

    def close(self) -> None:
        """Remove the files of the page."""
        self._folder.cleanup()
