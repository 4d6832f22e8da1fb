"""Remove from a cache what this program wrote there: indices, previews of a name, runs. All else stays."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from dsp_batch.cache import Cache
from dsp_batch.errors import OptionsError
from dsp_batch.storage.backend import StoredKey
from dsp_batch.storage.urls import local_path

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_INDEX = re.compile(rf"({_UUID})_index\.parquet")
_PREVIEW = re.compile(rf"([0-9a-f]{{2}})/(?=\1){_UUID}\.webp")
_PRODUCT = "product.json"
_RUN_FILE = re.compile(
    r"[a-z-]+-[\w.-]+-[0-9a-f]{12}/"
    r"(?:job\.json|manifest\.parquet|summary\.json|failed\.txt|rejected\.txt|results/part-\d{4,}-[0-9a-f]{8,}(?:-\d{6,})?\.parquet)"
)

_DELETIONS_AT_ONCE = 16
"""Objects that are deleted at the same time: each takes a request, which a bucket answers in some 20 ms."""

_SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Objects of one kind that are to be removed."""

    what: str
    """What they are, for people: `indices`, `previews mosaic`, `runs`."""

    keys: tuple[str, ...]
    """Keys below the cache directory, in the order in which they are deleted."""

    size: int
    """Bytes of all of them."""


def find_indices(
    cache: Cache, series: Callable[[str], bool] = lambda _: True, older_than: float | None = None
) -> Removal:
    """Find indices.

    Args:
        cache: The cache.
        series: Tells whether the index of a series, by its UUID, is meant.
        older_than: Days since an index was written, at least; None for any age.

    Raises:
        StorageError: The cache cannot be listed.
    """
    latest = time.time() - (older_than or 0) * _SECONDS_PER_DAY

    def is_meant(entry: StoredKey) -> bool:
        match = _INDEX.fullmatch(entry.key)
        age_is_meant = older_than is None or (entry.modified is not None and entry.modified <= latest)
        return match is not None and age_is_meant and series(match[1])

    return _gather("indices", "indices", filter(is_meant, cache.list("indices")))


def find_previews(cache: Cache, name: str) -> Removal:
    """Find the previews of a name, and the document that tells how they were made.

    That document goes last: previews without it would be taken for those of any later run of the name.

    Raises:
        OptionsError: There are none; the message lists the names that there are.
        StorageError: The cache cannot be listed.
    """
    if "/" in name or name in ("", ".", ".."):
        raise OptionsError(f"--previews {name!r} is no name of previews")
    folder = f"previews/{name}"
    entries = [entry for entry in cache.list(folder) if entry.key == _PRODUCT or _PREVIEW.fullmatch(entry.key)]
    if not entries:
        names = ", ".join(list_previews(cache)) or "none"
        raise OptionsError(f"there are no previews {name!r} in {cache.url}: it has {names}")
    return _gather(f"previews {name}", folder, sorted(entries, key=lambda entry: entry.key == _PRODUCT))


def list_previews(cache: Cache) -> list[str]:
    """List the names of the previews in a cache, sorted.

    Raises:
        StorageError: The cache cannot be listed.
    """
    return sorted({entry.key.split("/")[0] for entry in cache.list("previews") if entry.key.endswith(_PRODUCT)})


def find_runs(cache: Cache) -> Removal:
    """Find the records of all runs: what was asked, the series, and their results. The job goes last.

    Raises:
        StorageError: The cache cannot be listed.
    """
    entries = [entry for entry in cache.list("runs") if _RUN_FILE.fullmatch(entry.key)]
    return _gather("runs", "runs", sorted(entries, key=lambda entry: entry.key.endswith("/job.json")))


def remove(cache: Cache, removals: Sequence[Removal]) -> None:
    """Delete objects, and the folders on disk that are empty then.

    Raises:
        SinkError: One cannot be deleted; others may be gone.
    """
    for removal in removals:
        if not removal.keys:
            continue
        *most, last = removal.keys
        with ThreadPoolExecutor(_DELETIONS_AT_ONCE, thread_name_prefix="dsp-batch-delete") as pool:
            for _ in pool.map(cache.delete, most):
                pass
        cache.delete(last)
        _remove_empty_folders(cache, removal.keys)


def _gather(what: str, folder: str, entries: Iterable[StoredKey]) -> Removal:
    found = list(entries)
    return Removal(
        what=what, keys=tuple(f"{folder}/{entry.key}" for entry in found), size=sum(entry.size for entry in found)
    )


def _remove_empty_folders(cache: Cache, keys: Iterable[str]) -> None:
    """Remove folders that held keys, from the innermost on, as far as nothing else is in them."""
    top = local_path(cache.url)
    if top is None:
        return
    folders = {parent for key in keys for parent in _list_parents(key)}
    for folder in sorted(folders, key=len, reverse=True):
        with suppress(OSError):  # something else is in it, or it is a link
            (top / folder).rmdir()


def _list_parents(key: str) -> Iterator[str]:
    while key := os.path.dirname(key):  # noqa: PTH120  # keys are no paths
        yield key
