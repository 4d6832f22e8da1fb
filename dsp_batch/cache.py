"""Where things live below the cache directory, and how an index gets in and out of it."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from dsp_batch.errors import SeriesError
from dsp_batch.index import SeriesIndex, parse_index, serialize_index
from dsp_batch.model import Receipt
from dsp_batch.storage.sink import read_whole, write_once
from dsp_batch.version import __version__

_log = logging.getLogger(__name__)

CACHE_VARIABLE = "DICOM_SERIES_PREVIEW_CACHE_DIR"
_APPLICATION = "dicom-series-preview"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """A folder or a bucket that keeps indices, previews and runs."""

    url: str
    """Absolute path or URL, without trailing slash."""

    def index_url(self, series_uuid: str) -> str:
        """Where the index of a series is kept."""
        return f"{self.url}/indices/{series_uuid}_index.parquet"

    @staticmethod
    def preview_key(name: str, series_uuid: str) -> str:
        """Key of a preview below the cache directory: spread over folders by the first two digits."""
        return f"previews/{name}/{series_uuid[:2]}/{series_uuid}.webp"


def default_cache_directory() -> str:
    """The platform's cache directory, or the one that the environment names."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return named
    if sys.platform == "win32":
        return str(Path(os.environ.get("APPDATA", "~")).expanduser() / _APPLICATION / "cache")
    from platformdirs import user_cache_path  # noqa: PLC0415  # only where no directory was given

    return str(user_cache_path(_APPLICATION, appauthor=False))


def read_index(cache: Cache, series_uuid: str, root: str) -> SeriesIndex | None:
    """Read a complete index of a series from the cache.

    Returns:
        The index; None when there is none, or none that serves: unreadable, of another format or root, or partial.
        All but absence are logged as a warning.
    """
    url = cache.index_url(series_uuid)
    data = read_whole(url)
    if data is None:
        return None
    try:
        index = parse_index(data)
    except SeriesError as error:
        _log.warning("the index %s is built anew: %s", url, error.message)
        return None
    if index.root != root:
        _log.warning("the index %s is built anew: it belongs to the root %s, not %s", url, index.root, root)
        return None
    if index.partial:
        _log.warning("the index %s is built anew: it was built with a limit", url)
        return None
    return index


def write_index(index: SeriesIndex, url: str) -> Receipt:
    """Write an index whole, replacing an older one."""
    return write_once(url, serialize_index(index, __version__), make_parents=True)
