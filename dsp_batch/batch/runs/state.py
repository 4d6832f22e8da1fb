"""What is already there when a run begins: earlier attempts of it, previews and rows of other runs.

Nothing here goes by clocks: a cache may be copied, and storage and client need not agree on the time. Previews of one
name have a generation, a number in their `product.json` that `--overwrite` raises; each run notes the generation that
it works on and the first attempt that did so. Rows of earlier attempts, and of other generations, count no more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsp_batch.batch.manifest.keys import KeyArray, name_keys
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.known_rows import KnownRows, Results, find_keys, join_keys, keys_of, read_known
from dsp_batch.batch.runs.latest import fold_latest
from dsp_batch.batch.runs.parts import list_parts
from dsp_batch.batch.runs.row import SeriesResult
from dsp_batch.cache import Cache, preview_key
from dsp_batch.errors import OptionsError, SinkError
from dsp_batch.idc.buckets import link_viewer
from dsp_batch.model.series import SeriesRef
from dsp_batch.version import __version__

_BATCH = 8_192


class Attempt(NamedTuple):
    """One start of a run."""

    number: int
    """From 1."""

    since: int
    """First attempt whose rows count."""

    generation: int
    """Of the previews that it makes."""

    resumes: bool
    """The run was begun before."""

    overwrites: bool
    """It makes everything anew."""

    columns: tuple[str, ...] | None = None
    """Columns of the manifest that rows of earlier attempts carry; None where none of these count."""

    @property
    def renews(self) -> bool:
        """What lies in the cache from before may be made anew."""
        return self.since > 1

    def describe(self) -> dict[str, Any]:
        """What `job.json` says of it."""
        return {
            "attempt": self.number,
            "since": self.since,
            "generation": self.generation,
            "overwrites": self.overwrites,
        }


def results_folder(run: str) -> str:
    """Key of the folder of a run's result parts."""
    return f"runs/{run}/results"


def product_key(name: str) -> str:
    """Key of the description of the previews of a name."""
    return f"previews/{name}/product.json"


def write_json(cache: Cache, key: str, value: Any) -> None:
    """Write a JSON document whole."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    # Lone surrogates, of paths that are no UTF-8, come out as JSON's own escapes.
    cache.write(key, f"{text}\n".encode("utf-8", "backslashreplace"))


def read_json(cache: Cache, key: str) -> dict[str, Any] | None:
    """Read a JSON object; None where there is none.

    Raises:
        SinkError: It is no JSON object.
    """
    data = cache.read(key)
    if data is None:
        return None
    try:
        found = json.loads(data)
    except ValueError as error:
        raise SinkError(f"{cache.url_of(key)} is no JSON: delete it and run again") from error
    if not isinstance(found, dict):
        raise SinkError(f"{cache.url_of(key)} is no JSON object: delete it and run again")
    return found


def list_runs(cache: Cache) -> list[str]:
    """Names of the runs in a cache directory, sorted."""
    return sorted({entry.key.partition("/")[0] for entry in cache.list("runs") if entry.key.endswith("/job.json")})


def open_attempt(job: Job, run: str, *, overwrite: bool = False) -> Attempt:
    """Number a start of a run, after making sure that the previews under its name are of its kind.

    Args:
        job: The job.
        run: Name of the run.
        overwrite: Everything is to be made anew. An attempt at that which did not end is gone on with.

    Raises:
        OptionsError: The name is taken by previews made with other options.
    """
    asked = read_json(job.cache, f"runs/{run}/job.json") or {}
    summary = read_json(job.cache, f"runs/{run}/summary.json") or {}
    ended = summary.get("attempt", 0)
    number = 1 + max(asked.get("attempt", 0), ended, *_attempts_of_parts(job.cache, run))
    found = _read_product(job, overwrite=overwrite) if job.draws else asked
    generation = found.get("generation", 1)
    same = asked.get("generation", 1) == generation
    goes_on = same and asked.get("overwrites", False) and (ended < asked.get("attempt", 0) or summary.get("left", 0))
    if overwrite and not goes_on:
        generation, same = generation + 1, False
    wanted = {**job.product, "generation": generation}
    if job.draws and found != wanted:
        write_json(job.cache, product_key(job.name), wanted)
    return Attempt(
        number=number,
        since=asked.get("since", 1) if same else number,
        generation=generation,
        resumes=bool(asked),
        overwrites=overwrite or bool(goes_on),
        columns=tuple(asked.get("columns", ())) if asked and same else None,
    )


def _attempts_of_parts(cache: Cache, run: str) -> list[int]:
    numbers = (key.rpartition("/")[2].split("-")[1] for key in list_parts(cache, results_folder(run)))
    return [0, *(int(number) for number in numbers if number.isdecimal())]


def _read_product(job: Job, *, overwrite: bool) -> dict[str, Any]:
    """What the previews under the job's name were made with; empty where there are none."""
    found = read_json(job.cache, product_key(job.name)) or {}
    made = {name: value for name, value in found.items() if name != "generation"}
    if made and made != job.product and not overwrite:
        raise OptionsError(
            f"the previews {job.name!r} in {job.cache.url} were made with other options: "
            "run the command with another --name, or with --overwrite to make them anew"
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunState:
    """What a run finds when it begins: 16 bytes a series and as many a preview, and 200 for what another run tells."""

    attempt: Attempt
    finished: KeyArray
    """Series of this run that need no more work, sorted."""

    previews: KeyArray
    """Series that have a preview under the job's name, sorted."""

    known: KnownRows
    """What other runs tell of previews of the same generation."""

    def sort_out(self, refs: Sequence[SeriesRef], job: Job) -> tuple[list[SeriesRef], list[SeriesResult]]:
        """Tell series that must be worked on from those whose preview is there.

        A preview that no run has a row of was made by a run that was killed before it wrote the row, or the rows have
        been deleted. It is kept without details, unless this run itself was killed, or previews were overwritten, or
        the name of its folder means another series elsewhere: then it is made again.

        Returns:
            Series to work on, and rows of series that are kept, or fail because the preview in their place is that of
            another series; finished ones are among neither.
        """
        names = name_keys([ref.series_uuid for ref in refs])
        is_local = np.zeros(len(refs), np.bool_)
        is_local[names.local] = True
        finished, there = find_keys(self.finished, names.keys)[0], find_keys(self.previews, names.keys)[0]
        known, places = find_keys(self.known.keys, names.keys)
        trusts = self.attempt.generation == 1 and not self.attempt.resumes
        kept = ~finished & there & (known | (~is_local & trusts))
        details = iter(self.known.tell(places[kept & known]))
        rows = [
            self._keep(refs[at], next(details) if known[at] else {}, job, is_local=bool(is_local[at]))
            for at in np.flatnonzero(kept).tolist()
        ]
        return [refs[at] for at in np.flatnonzero(~finished & ~kept).tolist()], rows

    def _keep(self, ref: SeriesRef, known: dict[str, Any], job: Job, *, is_local: bool) -> SeriesResult:
        if is_local and known["root"] != ref.root:
            return self._refuse(ref, known["root"])
        own = {"series_uuid": ref.series_uuid, "root": ref.root, "endpoint_url": ref.endpoint_url}
        return SeriesResult(
            **{"program": __version__, **known, **own},
            status="kept",
            viewer=link_viewer(ref, job.endpoint_url, known) if known else None,
            preview=preview_key(job.name, ref.series_uuid),
            attempt=self.attempt.number,
            columns=ref.columns,
        )

    def _refuse(self, ref: SeriesRef, root: str) -> SeriesResult:
        """The row of a series whose folder has the name of another one that has a preview here."""
        return SeriesResult(
            series_uuid=ref.series_uuid,
            root=ref.root,
            endpoint_url=ref.endpoint_url,
            status="failed",
            reason="write-failed",
            error=f"the preview of {ref.url} would take the place of that of {root}/{ref.series_uuid}: "
            "give it a --cache-dir or --name of its own, or --overwrite",
            attempt=self.attempt.number,
            program=__version__,
            columns=ref.columns,
        )


def find_state(job: Job, run: str, attempt: Attempt) -> RunState:
    """Look up what is there already: by listing, and from the rows of this run and of others of the same product.

    Rows alone finish nothing: what they tell of must still be there.
    """
    there = _sort_keys(_list_products(job))
    made, skipped = fold_latest(
        job.cache, results_folder(run), ["series_uuid", "attempt", "status"], partial(_split, since=attempt.since)
    )
    previews = there if job.draws else there[:0]
    others = _same_product(job, run, attempt) if len(previews) else ()
    return RunState(
        attempt=attempt,
        finished=np.sort(np.concatenate([made[find_keys(there, made)[0]], skipped])),
        previews=previews,
        known=read_known(job.cache, others),
    )


def _split(tables: Iterator[pa.Table], since: int) -> tuple[KeyArray, KeyArray]:
    """Series of this run that are done or kept, and those that are skipped."""
    made, skipped = [], []
    for table in tables:
        counted = table.filter(pc.greater_equal(table.column("attempt"), since))
        made.append(keys_of(counted.filter(pc.is_in(counted.column("status"), pa.array(["done", "kept"])))))
        skipped.append(keys_of(counted.filter(pc.equal(counted.column("status"), "skipped"))))
    return join_keys(made), join_keys(skipped)


def _list_products(job: Job) -> Iterable[str]:
    """Series that have a preview of the job's name, or an index where it makes indices alone."""
    folder, suffix = (f"previews/{job.name}", ".webp") if job.draws else ("indices", "_index.parquet")
    names = (entry.key.rpartition("/")[2] for entry in job.cache.list(folder))
    return (name.removesuffix(suffix) for name in names if name.endswith(suffix))


def _same_product(job: Job, run: str, attempt: Attempt) -> Iterator[Results]:
    """The other runs of the previews of this name and generation."""
    for other in list_runs(job.cache):
        asked = read_json(job.cache, f"runs/{other}/job.json") or {}
        product = {"verb": asked.get("verb"), "options": asked.get("options")}
        same = product == job.product and asked.get("name") == job.name
        if other != run and same and asked.get("generation", 1) == attempt.generation:
            yield Results(results_folder(other), asked.get("since", 1))


def _sort_keys(names: Iterable[str]) -> KeyArray:
    iterator = iter(names)
    parts = []
    while batch := list(islice(iterator, _BATCH)):
        parts.append(name_keys(batch).keys)
    return np.sort(join_keys(parts))
