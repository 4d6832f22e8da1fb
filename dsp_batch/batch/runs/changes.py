"""Series that have changed since a run told of them: other objects, or other sizes or times."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsp_batch.batch.manifest.table import Manifest
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.result_parts import list_parts, read_part
from dsp_batch.batch.runs.results import pick_rows
from dsp_batch.cache import Cache
from dsp_batch.errors import StorageError
from dsp_batch.kinds.registry import is_image
from dsp_batch.model.series import BoolArray, IntArray, SeriesRef, digest_objects
from dsp_batch.references.finished import find_finished_parts

_LISTINGS_AT_ONCE = 16

_ABSENT_COLUMNS = ["series_uuid", "attempt", "status", "context", "references", "study_instance_uid"]


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


def find_illustrable(cache: Cache, folder: str) -> list[str]:
    """Find series that a run has drawn without their images and whose images have come since, in any run.

    Args:
        cache: The cache directory.
        folder: Key of `runs/{RUN}/results`.

    Returns:
        UUIDs of the series.

    Raises:
        SinkError: A part of the results cannot be read.
    """
    times = {f"{folder}/{entry.key}": entry.modified for entry in cache.list(folder)}
    keys = list_parts(cache, folder)
    absent: list[tuple[dict[str, Any], float | None]] = []
    for key, rows in zip(keys, pick_rows(cache, keys), strict=True):
        table = read_part(cache, key, _ABSENT_COLUMNS).take(pa.array(rows))
        table = table.filter(pc.equal(table.column("context"), "absent"))
        absent += [(row, times.get(key)) for row in table.to_pylist()]
    if not absent:
        return []
    named = {uid for row, _ in absent for uid in row["references"] or ()}
    studies = {row["study_instance_uid"] for row, _ in absent if row["study_instance_uid"]}
    written: dict[str, list[float | None]] = {}
    for each in find_finished_parts(cache, named, studies):
        if is_image(each.place.sop_class):
            written.setdefault(each.place.series_instance_uid, []).append(each.written)
            written.setdefault(each.place.study_instance_uid, []).append(each.written)

    def has_come(row: dict[str, Any], drawn: float | None) -> bool:
        since = [
            when
            for uid in (*(row["references"] or ()), row["study_instance_uid"] or "")
            for when in written.get(uid, ())
        ]
        return any(when is None or drawn is None or when > drawn for when in since)

    return [row["series_uuid"] for row, drawn in absent if has_come(row, drawn)]


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
