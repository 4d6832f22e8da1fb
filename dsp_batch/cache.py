"""Where things live below the cache directory, and how an index gets in and out of it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from dsp_batch.errors import SeriesError
from dsp_batch.index.parquet import parse_index, serialize_index
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.series import Receipt
from dsp_batch.storage.aws import resolve_endpoint
from dsp_batch.storage.backend import StoredKey
from dsp_batch.storage.objects import delete, list_keys, read_whole, write_whole
from dsp_batch.storage.urls import normalise_root
from dsp_batch.version import __version__

_log = logging.getLogger(__name__)

CACHE_VARIABLE = "DICOM_SERIES_PREVIEW_CACHE_DIR"
_APPLICATION = "dicom-series-preview"

FOLDERS = ("indices", "previews", "runs", "scans")
"""What a cache directory holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """A folder or a bucket that keeps indices, previews and runs."""

    url: str
    """Absolute path or URL, without trailing slash."""

    endpoint_url: str | None = None
    """S3-compatible server of the bucket; settled by the client, so that workers need not share its environment."""

    cache_control: str | None = None
    """Cache-Control header of the objects that are written to a bucket; None for no header."""

    def url_of(self, key: str) -> str:
        """The whole address of an object."""
        return f"{self.url}/{key}"

    def read(self, key: str) -> bytes | None:
        """An object's bytes; None where there is none."""
        return read_whole(self.url_of(key), endpoint_url=self.endpoint_url)

    def write(self, key: str, data: bytes) -> Receipt:
        """Write an object whole, replacing an older one."""
        return write_whole(
            self.url_of(key), data, make_parents=True, endpoint_url=self.endpoint_url, cache_control=self.cache_control
        )

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens where there is none."""
        delete(self.url_of(key), endpoint_url=self.endpoint_url)

    def list(self, folder: str) -> Iterator[StoredKey]:
        """The objects below a folder, keys counted from there."""
        return list_keys(self.url_of(folder), endpoint_url=self.endpoint_url)


def index_key(series_uuid: str) -> str:
    """Key of the index of a series."""
    return f"indices/{series_uuid}_index.parquet"


def preview_key(name: str, series_uuid: str) -> str:
    """Key of a preview: spread over folders by the first two digits."""
    return f"previews/{name}/{series_uuid[:2]}/{series_uuid}.webp"


def product_key(name: str) -> str:
    """Key of what the previews of a name were made with: the verb and its options."""
    return f"previews/{name}/product.json"


class RunFiles(NamedTuple):
    """Keys of what a run leaves in the cache, below a folder of its own."""

    folder: str
    job: str
    """What was asked."""

    manifest: str
    """The series of the run, as they were read once."""

    results: str
    """Folder of the parts that hold a row for each series."""

    summary: str
    """Counts and figures; written last."""

    failed: str
    """The series that failed, as a manifest."""

    rejected: str
    """Lines of the manifest that name no series."""


def run_files(run: str) -> RunFiles:
    """Keys of the files of a run."""
    names = ("job.json", "manifest.parquet", "results", "summary.json", "failed.txt", "rejected.txt")
    folder = f"runs/{run}"
    return RunFiles(folder, *(f"{folder}/{name}" for name in names))


def scan_key(root: str, name: str) -> str:
    """Key of a table that the scans of a root leave: a part, or `folders` for which part tells of which folder."""
    folder = blake2b(root.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"scans/{folder}/{name}.parquet"


def open_cache(
    directory: str | os.PathLike[str] | None, endpoint_url: str | None = None, cache_control: str | None = None
) -> Cache:
    """The cache in the directory that was named, else in the default one.

    Args:
        directory: Path or URL; None for the one that `DICOM_SERIES_PREVIEW_CACHE_DIR` names, else the platform's.
        endpoint_url: S3-compatible server of the bucket; None for the environment's.
        cache_control: Cache-Control header of the objects that are written to a bucket; None for no header.

    Raises:
        StorageError: The directory is malformed.
    """
    named, endpoint = directory or default_cache_directory(), resolve_endpoint(endpoint_url)
    return Cache(url=normalise_root(named, endpoint), endpoint_url=endpoint, cache_control=cache_control)


def default_cache_directory() -> str:
    """The platform's cache directory, or the one that the environment names."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return named
    if sys.platform == "win32":
        return str(Path(os.environ.get("APPDATA", "~")).expanduser() / _APPLICATION / "cache")
    from platformdirs import user_cache_path  # noqa: PLC0415  # only where no directory was given

    return str(user_cache_path(_APPLICATION, appauthor=False))


def read_index(cache: Cache, series_uuid: str, root: str, folder: str | None = None) -> SeriesIndex | None:
    """Read a complete index of a series from the cache, whether or not its objects have changed since.

    Only the file is judged here, by what it says of itself. `find_index` of `dsp_batch/fetch.py` calls this function,
    and then compares the objects of the series with those that the index was built from.

    Args:
        cache: The cache directory.
        series_uuid: The series.
        root: Its root.
        folder: The folder that it was found in; None for a series whose folder is named by its UUID.

    Returns:
        The index; None when there is none, or none that serves: unreadable, of another format, series or place, or
        partial. All but absence are logged, as a warning unless it is only of a folder above or below.
    """
    data = cache.read(index_key(series_uuid))
    if data is None:
        return None
    index = None
    try:
        index = parse_index(data)
        trouble = _find_mismatch(index, series_uuid, root, folder)
    except SeriesError as error:
        trouble = error.message
    if trouble is None:
        return index
    is_nested = index is not None and index.series_uuid == series_uuid and _are_nested(index.root, root)
    level = logging.INFO if is_nested and folder is not None else logging.WARNING
    _log.log(level, "the index %s is built again: %s", cache.url_of(index_key(series_uuid)), trouble)
    return None


def _are_nested(first: str, second: str) -> bool:
    """Tell whether one root lies in the other: whoever looks at a folder and then at one within it loses nothing."""
    return first != second and (f"{first}/".startswith(f"{second}/") or f"{second}/".startswith(f"{first}/"))


def find_index_anywhere(cache: Cache, series_uuid: str) -> SeriesIndex | None:
    """Read a complete index of a series, whichever root it is of; None where there is none that can be read."""
    data = cache.read(index_key(series_uuid))
    try:
        index = parse_index(data) if data is not None else None
    except SeriesError as error:
        _log.debug("the index %s is damaged: %s", cache.url_of(index_key(series_uuid)), error.message)
        return None
    return None if index is None or index.partial or index.series_uuid != series_uuid else index


def _find_mismatch(index: SeriesIndex, series_uuid: str, root: str, folder: str | None) -> str | None:
    """Tell why an index does not serve for a series; None where it does."""
    if index.series_uuid != series_uuid:
        return f"it belongs to the series {index.series_uuid}"
    if index.root != root:
        return f"it belongs to the root {index.root}, not {root}"
    if (index.folder is None) != (folder is None):
        return "the names of its objects are counted from another folder"
    return "it was built with a limit" if index.partial else None


def write_index(index: SeriesIndex, cache: Cache) -> Receipt:
    """Write an index whole, replacing an older one."""
    return cache.write(index_key(index.series_uuid), serialize_index(index, __version__))
