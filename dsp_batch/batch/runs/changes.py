"""Series that have changed since a run told of them: other objects, or other sizes or times."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dsp_batch.batch.manifest.table import Manifest
from dsp_batch.batch.runs.job import Job
from dsp_batch.errors import StorageError
from dsp_batch.model.series import BoolArray, IntArray, SeriesRef, digest_objects

_LISTINGS_AT_ONCE = 16


def find_changed(manifest: Manifest, rows: IntArray, digests: Sequence[str | None], job: Job) -> BoolArray:
    """Find series whose objects are others than those that a result row tells of.

    Series that a scan has found are compared with it. Folders of this machine are listed, and with `--refresh` those of
    remote roots too. A series whose folder is gone has not changed: what is in the cache is all that is left of it.

    Args:
        manifest: The series.
        rows: A row of the manifest for each result row, shape (n,).
        digests: Digest of the objects that each result row tells of; None where it tells of none.
        job: How series are read.

    Returns:
        True where a series has changed, shape (n,).
    """
    told = [at for at, digest in enumerate(digests) if digest is not None]
    refs = manifest.take(rows[told])
    with ThreadPoolExecutor(_LISTINGS_AT_ONCE) as pool:
        found = pool.map(lambda ref: _digest_now(ref, job), refs)
        changed = np.zeros(len(rows), np.bool_)
        changed[told] = [now not in (None, digests[at]) for at, now in zip(told, found, strict=True)]
    return changed


def _digest_now(ref: SeriesRef, job: Job) -> str | None:
    """Digest the objects that a series has now; None where they are not asked for, or gone."""
    if ref.digest is not None:
        return ref.digest
    store = job.open_store(ref)
    if not (store.is_local or job.refresh):
        return None
    try:
        objects = store.list_objects(ref.series_uuid)
    except StorageError as error:
        return None if error.reason == "not-found" else ""  # its row will say why it cannot be listed
    return digest_objects(objects) if objects else None
