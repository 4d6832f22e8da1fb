"""The state of a run when it begins: rows of its earlier attempts, previews that are there, and rows of other runs.

Everything is joined with the manifest by the 16-byte keys of its series, whatever the number of rows and previews.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsp_batch.batch.manifest.table import Manifest
from dsp_batch.batch.runs.attempt import Attempt
from dsp_batch.batch.runs.changes import find_changed, find_illustrable
from dsp_batch.batch.runs.job import Job, list_runs, read_json
from dsp_batch.batch.runs.result_parts import SCHEMA
from dsp_batch.batch.runs.result_row import DESCRIPTIONS, SeriesResult, build_row
from dsp_batch.batch.runs.results import fold_latest
from dsp_batch.cache import Cache, preview_key, run_files
from dsp_batch.errors import Reason, SinkError, UnavailableError
from dsp_batch.idc.viewer import link_viewer
from dsp_batch.model.identifiers import KeyArray, build_keys, find_keys
from dsp_batch.model.series import BoolArray, IntArray, SeriesRef

_log = logging.getLogger(__name__)

_NAMES_AT_ONCE = 8_192

_OF_THIS_RUN = ("series_uuid", "endpoint_url", "viewer", "status", "reason", "preview", "attempt", "manifest_columns")
"""Fields of the row of a kept preview that the run which keeps it fills in."""

_SPENT = ("bytes_read", "requests", "worker", "seconds_headers", "seconds_index", "seconds_render")
"""Fields that only the run which made a preview has."""

_TAKEN_OVER = [f.name for f in fields(SeriesResult) if f.name not in (*_OF_THIS_RUN, *_SPENT)]
"""Fields that describe a preview, whichever run keeps it."""

_FEW_VALUES = ("root", "modality", "sop_class", "transfer_syntax", "unit", "program")


class ManifestKeys(NamedTuple):
    """Finds series of a manifest by their keys."""

    keys: KeyArray
    """Keys of the series, sorted, shape (n,)."""

    order: IntArray
    """Row of the manifest that each of these keys belongs to, shape (n,)."""

    def find(self, keys: KeyArray) -> IntArray:
        """Find the row of the manifest for each of some keys; -1 for a key of no series of it."""
        found, ranks = find_keys(self.keys, keys)
        rows = np.full(len(keys), -1)
        rows[found] = self.order[ranks[found]]
        return rows

    def find_names(self, names: Iterable[str]) -> IntArray:
        """Find the rows of the manifest for some folder names; names of no series of it are left out."""
        iterator, found = iter(names), [np.empty(0, np.int64)]
        while batch := list(islice(iterator, _NAMES_AT_ONCE)):
            rows = self.find(build_keys(batch))
            found.append(rows[rows >= 0])
        return np.concatenate(found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunState:
    """What is there of each series of the manifest when a run begins."""

    attempt: Attempt
    manifest: Manifest

    finished: BoolArray
    """True where a series needs no more work, shape (n,)."""

    kept: BoolArray
    """True where the preview of a series is there that this run has no row of, shape (n,)."""

    known: IntArray
    """Row of `rows` that describes the preview of a series, -1 where none does, shape (n,)."""

    rows: pa.Table
    """Rows of other runs that describe previews which are there."""

    def sort_out(self, start: int, stop: int, job: Job) -> tuple[list[SeriesRef], list[SeriesResult]]:
        """Tell series that must be worked on from those whose preview is there.

        A preview that no run has a row of was made by a run that was killed before it wrote the row, or the rows have
        been deleted. It is kept without details, unless this run itself was killed, or previews were overwritten:
        then it is made again.

        Args:
            start: First row of the manifest.
            stop: Row behind the last one.
            job: What is done with each series.

        Returns:
            Series to work on, and rows of series that are kept; finished ones are among neither.
        """
        some = slice(start, stop)
        finished, kept = self.finished[some], self.kept[some]
        if finished.all():
            return [], []
        refs = list(self.manifest.series(start, stop))
        known = self.known[some]
        details = iter(self.rows.take(pa.array(known[kept & (known >= 0)])).to_pylist())
        rows = [
            self._keep(refs[at], next(details) if known[at] >= 0 else {}, job) for at in np.flatnonzero(kept).tolist()
        ]
        return [refs[at] for at in np.flatnonzero(~finished & ~kept).tolist()], rows

    def _keep(self, ref: SeriesRef, known: dict[str, Any], job: Job) -> SeriesResult:
        own = {
            "viewer": link_viewer(ref, job.endpoint_url, known) if known else None,
            "preview": preview_key(job.name, ref.series_uuid),
            **({} if job.describe else dict.fromkeys(DESCRIPTIONS)),
        }
        return build_row(ref, "kept", self.attempt.number, **{**known, **own})


def find_state(job: Job, run: str, attempt: Attempt, manifest: Manifest) -> RunState:
    """Find what is there: by listing, and from the rows of this run and of others of the same product.

    Rows alone finish nothing: the previews or indices that they describe must still be there.

    Raises:
        SinkError: A part of the results cannot be read.
    """
    keys = sort_keys(manifest)
    there, made, skipped = (np.zeros(len(manifest), np.bool_) for _ in range(3))
    there[keys.find_names(_list_products(job))] = True
    wanted = ["series_uuid", "attempt", "status", "objects_digest"]
    split = partial(_split, keys=keys, since=attempt.since, compare=partial(find_changed, manifest, job=job))
    made_rows, skipped_rows = fold_latest(job.cache, run_files(run).results, wanted, split)
    made[made_rows], skipped[skipped_rows] = True, True
    if job.context in ("cached", "fetch"):
        made[keys.find_names(find_illustrable(job.cache, run_files(run).results))] = False
    finished = (made & there) | skipped
    is_there = there & ~finished if job.draws else np.zeros(len(manifest), np.bool_)
    others = _same_product(job, run, attempt) if is_there.any() else ()
    known, rows = _read_known(job, others, keys, is_there)
    is_there &= ~_find_replaced(manifest, known, rows, job)
    trusts = attempt.generation == 1 and not attempt.resumes
    return RunState(
        attempt=attempt,
        manifest=manifest,
        finished=finished,
        kept=is_there & ((known >= 0) | trusts),
        known=known,
        rows=rows,
    )


def keep_failed(state: RunState, job: Job, run: str, reasons: frozenset[Reason]) -> RunState:
    """Keep in a state the series alone that failed for one of some reasons; all others count as finished.

    Raises:
        SinkError: A part of the results cannot be read.
    """
    keys, chosen = sort_keys(state.manifest), np.zeros(len(state.manifest), np.bool_)

    def find(tables: Iterator[pa.Table]) -> IntArray:
        found = [np.empty(0, np.int64)]
        for table in tables:
            failed = table.filter(pc.equal(table.column("status"), "failed"))
            counted = failed.filter(pc.greater_equal(failed.column("attempt"), state.attempt.since))
            wanted = counted.filter(pc.is_in(counted.column("reason"), pa.array([*reasons])))
            found.append(keys.find_names(wanted.column("series_uuid").to_pylist()))
        return np.concatenate(found)

    chosen[fold_latest(job.cache, run_files(run).results, ["series_uuid", "attempt", "status", "reason"], find)] = True
    chosen &= ~state.finished
    if not chosen.any():
        _log.warning("no series of the run has failed for this reason: %s", ", ".join(sorted(reasons)))
    return replace(state, finished=~chosen, kept=state.kept & chosen)


def _find_replaced(manifest: Manifest, known: IntArray, rows: pa.Table, job: Job) -> BoolArray:
    """Find series of which another run has made a preview before they changed, or without their images.

    Those of IDC's layout that the other run read from another root are not compared: copies have other times.
    """
    told = np.flatnonzero(known >= 0)
    theirs = rows.take(pa.array(known[told]))
    own = manifest.table.take(pa.array(told))
    same_root = np.array(own.column("root").to_pylist()) == np.array(theirs.column("root").to_pylist())
    compared = same_root | own.column("digest").is_valid().to_numpy()
    digests = theirs.column("objects_digest").filter(pa.array(compared)).to_pylist()
    replaced = np.zeros(len(manifest), np.bool_)
    replaced[told[compared]] = find_changed(manifest, told[compared], digests, job)
    # The image may come in this very run.
    is_absent = pc.fill_null(pc.equal(theirs.column("context"), "absent"), False).to_numpy()
    replaced[told[is_absent]] = job.context != "off"
    return replaced


def sort_keys(manifest: Manifest) -> ManifestKeys:
    """Sort the keys of the series of a manifest, to find them by."""
    chunks = manifest.table.column("series_uuid").chunks
    keys = np.concatenate([np.empty(0, "S16"), *(build_keys(chunk.to_pylist()) for chunk in chunks)])
    order = np.argsort(keys, kind="stable")
    return ManifestKeys(keys[order], order)


def _split(tables: Iterator[pa.Table], keys: ManifestKeys, since: int, compare: Compare) -> tuple[IntArray, IntArray]:
    """Find the rows of the manifest of series that are done or kept, and of those that are skipped.

    Those that have changed since are among neither.
    """
    made, skipped = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for table in tables:
        counted = table.filter(pc.greater_equal(table.column("attempt"), since))
        for statuses, found in ((["done", "kept"], made), (["skipped"], skipped)):
            chosen = counted.filter(pc.is_in(counted.column("status"), pa.array(statuses)))
            rows = keys.find(build_keys(chosen.column("series_uuid").to_pylist()))
            digests = chosen.column("objects_digest").filter(pa.array(rows >= 0)).to_pylist()
            rows = rows[rows >= 0]
            found.append(rows[~compare(rows, digests)])
    return np.concatenate(made), np.concatenate(skipped)


def _list_products(job: Job) -> Iterable[str]:
    """List the series that have a preview of the job's name, or an index where the job makes indices alone."""
    folder, suffix = (f"previews/{job.name}", ".webp") if job.draws else ("indices", "_index.parquet")
    names = (entry.key.rpartition("/")[2] for entry in job.cache.list(folder))
    return (name.removesuffix(suffix) for name in names if name.endswith(suffix))


Compare = Callable[[IntArray, Sequence[str | None]], BoolArray]
"""Rows of the manifest and the digests that result rows have of their objects → which of them have changed."""


class _OtherRun(NamedTuple):
    """A run that makes the same previews."""

    folder: str
    """Key of `runs/{RUN}/results`."""

    since: int
    """Number of the first attempt whose rows count."""


def _same_product(job: Job, run: str, attempt: Attempt) -> Iterator[_OtherRun]:
    """Find the other runs that made previews of this name and generation."""
    for other in list_runs(job.cache):
        document = _try_document(job.cache, other)
        product = {"verb": document.get("verb"), "options": document.get("options")}
        same = product == job.product and document.get("name") == job.name
        if other != run and same and document.get("generation", 1) == attempt.generation:
            yield _OtherRun(run_files(other).results, document.get("since", 1))


def _try_document(cache: Cache, run: str) -> dict[str, Any]:
    """Read what another run was asked to do. A document that is damaged is a warning, and nothing is known by it."""
    try:
        return read_json(cache, run_files(run).job) or {}
    except UnavailableError:
        raise
    except SinkError as error:
        _log.warning("rows of another run are not taken over: %s", error.message)
        return {}


def _read_known(
    job: Job, runs: Iterable[_OtherRun], keys: ManifestKeys, is_wanted: BoolArray
) -> tuple[IntArray, pa.Table]:
    """Read the rows of other runs that describe previews which are there; of several such runs the first counts.

    Returns:
        For each series of the manifest the row of the table that describes its preview, -1 where none does; and the
        table.
    """
    known, count = np.full(len(is_wanted), -1), 0
    tables = [pa.schema([SCHEMA.field(name) for name in _TAKEN_OVER]).empty_table()]
    for run in runs:
        choose = partial(_choose, keys=keys, is_wanted=is_wanted & (known < 0), since=run.since)
        columns = ["series_uuid", "attempt", "status", *_TAKEN_OVER]
        for rows, table in fold_latest(job.cache, run.folder, columns, choose):
            known[rows] = np.arange(count, count + len(rows))
            tables.append(table)
            count += len(rows)
    return known, _join(tables)


def _choose(
    tables: Iterator[pa.Table], keys: ManifestKeys, is_wanted: BoolArray, since: int
) -> list[tuple[IntArray, pa.Table]]:
    """Choose rows that describe previews: part by part the rows of the manifest that they belong to, and the rows."""
    chosen = []
    for table in tables:
        is_made = pc.is_in(table.column("status"), pa.array(["done", "kept"]))
        made = table.filter(pc.and_(is_made, pc.greater_equal(table.column("attempt"), since)))
        rows = keys.find(build_keys(made.column("series_uuid").to_pylist()))
        wanted = (rows >= 0) & is_wanted[rows]
        chosen.append((rows[wanted], made.select(_TAKEN_OVER).filter(pa.array(wanted))))
    return chosen


def _join(tables: list[pa.Table]) -> pa.Table:
    """Join tables into one piece, column by column: the parts and the whole are never in memory together."""
    columns = {name: [table.column(name) for table in tables] for name in _TAKEN_OVER}
    tables.clear()
    joined = {}
    for name in _TAKEN_OVER:
        column = pa.chunked_array(
            [chunk for part in columns.pop(name) for chunk in part.chunks], SCHEMA.field(name).type
        )
        column = pa.chunked_array([column.combine_chunks()], column.type)
        joined[name] = column.dictionary_encode() if name in _FEW_VALUES else column
        pa.default_memory_pool().release_unused()
    return pa.table(joined)
