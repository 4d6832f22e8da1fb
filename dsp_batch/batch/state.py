"""What is already there when a run begins: finished rows of this run, previews of others."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dsp_batch.batch.job import Job
from dsp_batch.batch.results import SCHEMA, latest_rows
from dsp_batch.cache import Cache, preview_key
from dsp_batch.errors import OptionsError, SinkError
from dsp_batch.model import SeriesRef, SeriesResult
from dsp_batch.version import __version__

_log = logging.getLogger(__name__)
FINISHED = ("done", "kept", "skipped")


def results_folder(run: str) -> str:
    """Key of the folder of a run's result parts."""
    return f"runs/{run}/results"


def product_key(name: str) -> str:
    """Key of the description of the previews of a name."""
    return f"previews/{name}/product.json"


def write_json(cache: Cache, key: str, value: Any) -> None:
    """Write a JSON document whole."""
    cache.write(key, (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())


def read_json(cache: Cache, key: str) -> Any:
    """Read a JSON document; None where there is none.

    Raises:
        SinkError: It is no JSON.
    """
    data = cache.read(key)
    if data is None:
        return None
    try:
        return json.loads(data)
    except ValueError as error:
        raise SinkError(f"{cache.url_of(key)} is no JSON: delete it and run again") from error


def claim_product(job: Job, *, overwrite: bool) -> None:
    """Make sure that the previews under the job's name are of the job's kind.

    Raises:
        OptionsError: The name is taken by previews made with other options.
    """
    key = product_key(job.name)
    wanted = json.loads(json.dumps(job.product))
    found = read_json(job.cache, key)
    if found == wanted and not overwrite:
        return
    if found is not None and not overwrite:
        raise OptionsError(
            f"the previews {job.name!r} in {job.cache.url} were made with other options: "
            "choose another --name, or --overwrite to make them anew"
        )
    write_json(job.cache, key, wanted)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunState:
    """What a run finds when it begins."""

    attempt: int
    """Number of this attempt, from 1."""

    finished: frozenset[str]
    """Series of this run that need no more work."""

    previews: frozenset[str]
    """Series that have a preview of the same product."""

    known: dict[str, dict[str, Any]]
    """Result rows of other runs that made these previews, by series."""

    resumed: bool
    """The run was begun before."""

    def keep(self, ref: SeriesRef, job: Job) -> SeriesResult | None:
        """The row of a series whose preview is there already; None where it must be made.

        A preview without a row of any run was made by a run that was killed before its row was written: when that
        is this run, the series is drawn again so that its row is whole.
        """
        if ref.series_uuid not in self.previews:
            return None
        row = self.known.get(ref.series_uuid, {})
        if not row and self.resumed:
            return None
        kept = {name: value for name, value in row.items() if name in _KEPT_FIELDS}
        return SeriesResult(
            **{**kept, "series_uuid": ref.series_uuid, "root": ref.root, "columns": ref.columns},
            status="kept",
            preview=preview_key(job.name, ref.series_uuid),
            attempt=self.attempt,
            program=row.get("program") or __version__,
        )


_OWN_FIELDS = {"status", "reason", "preview", "bytes_read", "requests", "worker", "attempt", "program", "columns"}
_KEPT_FIELDS = (
    {f.name for f in fields(SeriesResult)}
    - _OWN_FIELDS
    - {
        "seconds_headers",
        "seconds_index",
        "seconds_render",
    }
)


def find_state(job: Job, run: str, *, overwrite: bool) -> RunState:
    """Look up what is there already, by listing and by reading the rows of runs of the same product."""
    own = latest_rows(job.cache, results_folder(run), ["status"])
    attempts = own.column("attempt")
    attempt = 1 + (pc.max(attempts).as_py() or 0)
    if overwrite:
        return RunState(attempt=attempt, finished=frozenset(), previews=frozenset(), known={}, resumed=False)
    done = own.filter(pc.is_in(own.column("status"), pa.array(FINISHED)))
    previews = frozenset(_list_previews(job)) if job.draws else frozenset()
    return RunState(
        attempt=attempt,
        finished=frozenset(done.column("series_uuid").to_pylist()),
        previews=previews,
        known=_known_rows(job, run) if previews else {},
        resumed=len(own) > 0 or job.cache.read(f"runs/{run}/job.json") is not None,
    )


def _list_previews(job: Job) -> Iterator[str]:
    """Series whose preview is not older than its product's description: older ones are of another product."""
    folder = f"previews/{job.name}"
    entries = list(job.cache.list(folder))
    product = next((entry.modified for entry in entries if entry.key == "product.json"), None)
    for entry in entries:
        name = entry.key.rpartition("/")[2]
        older = product is not None and entry.modified is not None and entry.modified < product
        if name.endswith(".webp") and not older:
            yield name.removesuffix(".webp")


def _known_rows(job: Job, run: str) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for other in list_runs(job.cache):
        description = read_json(job.cache, f"runs/{other}/job.json")
        same = description and (description["verb"], description["name"]) == (job.verb, job.name)
        if other == run or not same or description["options"] != json.loads(json.dumps(job.product))["options"]:
            continue
        table = latest_rows(job.cache, results_folder(other), SCHEMA.names)
        table = table.filter(pc.is_in(table.column("status"), pa.array(["done", "kept"])))
        for batch in table.select(SCHEMA.names).to_batches(max_chunksize=4096):
            rows.update((row["series_uuid"], row) for row in batch.to_pylist())
    return rows


def list_runs(cache: Cache) -> list[str]:
    """Names of the runs in a cache directory, sorted."""
    return sorted({entry.key.partition("/")[0] for entry in cache.list("runs") if entry.key.endswith("/job.json")})
