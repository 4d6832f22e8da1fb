"""Runs of the shape of IDC in virtual time: `python simulate.py JSON` prints their figures as JSON.

Everything of the client is the program's own: manifest, index, state, shards, window, result parts, compaction,
account. The cluster is `SimulatedCluster`, and previews are a set of names.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from bench_tasks import peak_bytes
from simulated_cluster import SimulatedCluster
from simulated_work import Conditions, Cost, Killed

from dsp_batch.batch.cluster.in_flight import Cluster, SeriesToRun, run_series
from dsp_batch.batch.manifest.lookup import default_lookup
from dsp_batch.batch.manifest.read import read_manifest_table
from dsp_batch.batch.plan.estimate import SeriesFacts, count_tiles, estimate_work
from dsp_batch.batch.run import StartedRun, begin_attempt, find_missing
from dsp_batch.batch.runs.attempt import open_attempt
from dsp_batch.batch.runs.job import Job, run_name
from dsp_batch.batch.runs.result_parts import ResultsWriter
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.batch.runs.results import read_results
from dsp_batch.batch.runs.resume import find_state
from dsp_batch.batch.runs.summary import RunSummary, Spent, summarize_run
from dsp_batch.cache import Cache, run_files
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions
from dsp_batch.storage.backend import StoredKey
from dsp_batch.storage.public_buckets import DEFAULT_ROOT

_COLUMNS = ["crdc_series_uuid", "aws_bucket", "SOPClassUID", "Modality", "instanceCount", "series_size_MB"]
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What reading and drawing a series takes, besides the work that is estimated for it."""

    latency: float = 0.04
    """Seconds until storage answers."""

    bytes_per_second: float = 50e6
    """Of one worker."""

    spread: float = 0.5
    """Standard deviation of the logarithm of measured over estimated CPU seconds."""

    cpu_factor: float = 1.0
    """Measured over estimated CPU seconds, on average."""

    index_share: float = 0.35
    """Of the CPU seconds of headers and index together."""

    transient_share: float = 1e-4
    """Requests that are answered with an error and asked again."""

    transient_seconds: float = 0.5
    slow_share: float = 1e-6
    """Requests that hang until they time out."""

    slow_seconds: float = 30.0
    failing_share: float = 2e-3
    """Series that come to an error."""

    killing_share: float = 3e-6
    """Series that kill whichever worker takes them up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCache(Cache):
    """A cache directory on disk, its previews but names."""

    drawn: set[str] = field(default_factory=set)

    def list(self, folder: str) -> Iterator[StoredKey]:
        """The objects below a folder."""
        if folder.startswith("previews/"):
            return (StoredKey(f"{uuid[:2]}/{uuid}.webp", 20_000, None) for uuid in self.drawn)
        return Cache.list(self, folder)


class Rows(NamedTuple):
    """A collection by its series."""

    places: Mapping[str, int]
    columns: Mapping[str, list[Any]]


def read_rows(path: Path) -> Rows:
    """Read what the index says of each series."""
    table = pq.read_table(path, columns=_COLUMNS)
    columns = {name: table.column(name).to_pylist() for name in _COLUMNS[2:]}
    columns["SOPClassUID"] = list(map(sys.intern, columns["SOPClassUID"]))
    uuids = table.column("crdc_series_uuid").to_pylist()
    return Rows({uuid: at for at, uuid in enumerate(uuids)}, columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """What each series takes; the same for the same name, whatever comes before it."""

    rows: Rows
    storage: Storage
    tiles: int
    indexed: frozenset[str] = frozenset()
    """Series whose index is there already."""

    def cost_of(self, ref: SeriesRef) -> Cost:
        """The cost of one series."""
        at = self.rows.places[ref.series_uuid]
        count, megabytes = self.rows.columns["instanceCount"][at], self.rows.columns["series_size_MB"][at]
        sop_class = self.rows.columns["SOPClassUID"][at]
        facts = SeriesFacts(sop_class_uid=sop_class, n_instances=count, size=round(megabytes * 1e6))
        whole, part = estimate_work(facts, self.tiles), estimate_work(facts, 0)
        digits = ref.series_uuid.replace("-", "")
        luck, fate, chance = (int(digits[place : place + 8], 16) / 2**32 for place in (0, 18, 24))
        storage = self.storage
        cpu = storage.cpu_factor * math.exp(
            storage.spread * _NORMAL.inv_cdf(min(max(luck, 1e-9), 1 - 1e-9)) - storage.spread**2 / 2
        )
        mishaps = whole.requests * storage.transient_share * storage.transient_seconds
        mishaps += storage.slow_seconds * (chance < whole.requests * storage.slow_share)
        is_indexed = ref.series_uuid in self.indexed
        headers = cpu * (1 - storage.index_share) * part.cpu_seconds
        headers += part.round_trips * storage.latency + part.bytes_read / storage.bytes_per_second
        render = cpu * (whole.cpu_seconds - part.cpu_seconds)
        render += (whole.round_trips - part.round_trips) * storage.latency
        render += (whole.bytes_read - part.bytes_read) / storage.bytes_per_second
        fails = fate < storage.failing_share
        return Cost(
            headers=(storage.latency if is_indexed else headers) + mishaps,
            index=0.0 if is_indexed else cpu * storage.index_share * part.cpu_seconds,
            render=0.0 if fails else render,
            processor=cpu * (whole.cpu_seconds - (part.cpu_seconds if is_indexed else 0.0)),
            requests=whole.requests - (part.requests - 1 if is_indexed else 0),
            bytes_read=whole.bytes_read,
            kills=1 - fate < storage.killing_share,
            row=_describe(ref, count, sop_class, fails=fails),
        )


def _describe(ref: SeriesRef, count: int, sop_class: str, *, fails: bool) -> dict[str, Any]:
    """What else a row tells, as long as in real rows."""
    uid = f"1.3.6.1.4.1.14519.5.2.1.{int(ref.series_uuid[:8], 16)}.{int(ref.series_uuid[24:], 16)}"
    known = {"series_instance_uid": uid, "study_instance_uid": f"{uid}1", "sop_class": sop_class, "n_instances": count}
    if fails:
        return {**known, "status": "failed", "reason": "bad-header", "error": f"{ref.url}: the header ends early"}
    drawn = {"status": "done", "preview": f"previews/mosaic/{ref.series_uuid[:2]}/{ref.series_uuid}.webp"}
    picture = {"n_tiles": 36, "width": 768, "height": 768, "preview_bytes": 20_000, "n_frames": count}
    return {**known, **drawn, **picture, "modality": "CT", "transfer_syntax": "1.2.840.10008.1.2.1"}


class _Silence:
    """Progress that nobody watches."""

    def start(self, total: int) -> None: ...

    def skip(self, series: int) -> None: ...

    def advance(self, rows: Iterable[SeriesResult]) -> None: ...

    def stop(self) -> None: ...


class Attempt(NamedTuple):
    """One start of the simulated run."""

    cluster: SimulatedCluster
    cpu: dict[str, float]
    """Part of the client → its CPU seconds, those of the simulation not counted."""

    summary: RunSummary | None
    """None: the client was killed."""

    parts: int
    """Result parts that the attempt wrote."""

    told: frozenset[str]
    """Series that rows tell of in the end."""


def run_attempt(cache: SimulatedCache, manifest: Path, cluster: SimulatedCluster) -> Attempt:
    """What `dsp-batch mosaic` does, on a simulated cluster: `run_manifest` but for where the cluster comes from."""
    job = Job(verb="mosaic", options=MosaicOptions(), cache=cache, name="mosaic")
    cluster.drawn = cache.drawn
    meter = _Meter(cluster)
    series_of_run = read_manifest_table(str(manifest), root=DEFAULT_ROOT, lookup=default_lookup())
    run = run_name(job, series_of_run.digest)
    attempt = open_attempt(job, run)
    started = StartedRun(name=run, job=job, manifest=series_of_run, attempt=attempt, begin=cluster.now())
    begin_attempt(started, {"manifest": manifest.name, "root": ""})
    meter.read("manifest")
    state = find_state(job, run, attempt, series_of_run)
    meter.read("state")
    folder = run_files(run).results
    writer = ResultsWriter(cache=cache, folder=folder, attempt=attempt.number, clock=cluster)
    missing = len(series_of_run) - int(state.finished.sum())
    series = SeriesToRun(find_missing(state, job, writer, _Silence()), missing, attempt.number)
    summary = None
    with suppress(Killed):
        run_series(Cluster(cluster, clock=cluster), job, series, writer.add)
        writer.flush()
        meter.read("run")
        summary = summarize_run(run, job, series_of_run, attempt, Spent(seconds=cluster.now()))
        meter.read("account")
    told = read_results(cache, run).column("series_uuid")
    return Attempt(cluster, meter.seconds, summary, writer.parts, frozenset(told.to_pylist()))


class _Meter:
    """CPU seconds of the client, part by part."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self.seconds: dict[str, float] = {}
        self._cluster = cluster
        self._begin = time.process_time()

    def read(self, part: str) -> None:
        """Put down what has been used since the last time."""
        now = time.process_time() - self._cluster.own_seconds
        self.seconds[part], self._begin = now - self._begin, now


def simulate(request: Mapping[str, Any]) -> dict[str, Any]:
    """Simulate a run, or one that is killed and gone on with.

    Args:
        request: `folder` with `manifest.txt` and `index.parquet`, `cache`, `conditions`, `storage`.
    """
    folder = Path(request["folder"])
    conditions, storage = Conditions(**request["conditions"]), Storage(**request.get("storage", {}))
    rows = read_rows(folder / "index.parquet")
    model = CostModel(rows=rows, storage=storage, tiles=count_tiles(MosaicOptions()))
    cache = SimulatedCache(url=request["cache"])
    pa.default_memory_pool().release_unused()
    forget_peak()
    before, begin = peak_bytes(), time.process_time()
    attempts = [run_attempt(cache, folder / "manifest.txt", SimulatedCluster(conditions, model.cost_of))]
    if conditions.kill_at is not None:
        again = CostModel(rows=rows, storage=storage, tiles=model.tiles, indexed=frozenset(cache.drawn))
        without_row = len(cache.drawn - attempts[0].told)
        calm = Conditions(**{**request["conditions"], "kill_at": None})
        attempts.append(run_attempt(cache, folder / "manifest.txt", SimulatedCluster(calm, again.cost_of)))
    figures = _describe_run(attempts)
    figures |= {"client_peak_bytes": peak_bytes() - before, "seconds_of_simulation": time.process_time() - begin}
    if conditions.kill_at is not None:
        figures |= {"previews_at_kill": len(again.indexed), "without_row": without_row}
    return figures


def forget_peak() -> None:
    """Have the kernel count the largest resident size anew, where it can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _describe_run(attempts: list[Attempt]) -> dict[str, Any]:
    last = attempts[-1]
    tallies = [attempt.cluster.tally for attempt in attempts]
    assert last.summary is not None
    sums = ("shards", "deaths", "requests", "bytes_read", "series_seconds", "lost_seconds", "scheduler_seconds")
    maxima = ("longest_queue", "most_in_flight", "most_series_in_flight")
    return {
        **{name: sum(getattr(tally, name) for tally in tallies) for name in sums},
        **{name: max(getattr(tally, name) for tally in tallies) for name in maxima},
        "attempts": len(attempts),
        "series": last.summary.series,
        "by_status": last.summary.by_status,
        "by_reason": last.summary.by_reason,
        "requests_of_rows": last.summary.figures.requests,
        "makespan": sum(attempt.cluster.now() for attempt in attempts),
        "tail": last.cluster.now() - last.cluster.tally.last_full,
        "peak_rate": max(tally.peak_rate() for tally in tallies),
        "parts": sum(attempt.parts for attempt in attempts),
        "client_cpu": {part: sum(attempt.cpu.get(part, 0.0) for attempt in attempts) for part in last.cpu},
    }


def main() -> None:
    """Simulate what is asked."""
    json.dump([simulate(request) for request in json.loads(sys.argv[1])], sys.stdout)


if __name__ == "__main__":
    main()
