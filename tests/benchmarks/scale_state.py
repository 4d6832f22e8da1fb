"""What a run of a million series keeps: seconds and memory to find out what is there, and to summarize it.

    python scale_state.py QUESTION FOLDER

answers one question of a process of its own, on a cache that `measure_state` has written below the folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from uuid import UUID

from dsp_batch.batch.manifest.table import (
    Manifest,
    ManifestBuilder,
    parse_manifest,
    serialize_manifest,
)
from dsp_batch.batch.runs.attempt import Attempt, open_attempt
from dsp_batch.batch.runs.job import Job, describe_job, write_json
from dsp_batch.batch.runs.result_parts import ResultsWriter
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.batch.runs.resume import find_state
from dsp_batch.batch.runs.status import read_statuses
from dsp_batch.batch.runs.summary import Spent, summarize_run
from dsp_batch.cache import Cache, open_cache, preview_key, run_files
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions

_ROOT = "s3://idc-open-data"
_SERIES_PER_SHARD = 20
_SERIES_PER_SECOND = 83.0
"""Of sixteen workers; the more there are, the fewer parts."""

_FIRST = Attempt(number=1, since=1, generation=1, resumes=False, overwrites=False)
_RUN, _OTHER = "mosaic-mosaic-0123456789ab", "mosaic-mosaic-ba9876543210"
_MANIFEST = run_files(_RUN).manifest


class _Clock:
    """Of a run that goes on as fast as the simulated one."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds


def measure_state(folder: Path, series: int, failed: float = 0.002) -> dict[str, dict[str, float]]:
    """Write a run of so many series as the runner does, and ask each question once.

    Args:
        folder: For the cache; a preview is an empty file.
        series: How many.
        failed: Share of them.

    Returns:
        Question → CPU and wall seconds, and bytes above those of the process before it was asked.
    """
    cache, chance = open_cache(str(folder / "cache")), Random(1)
    clock, manifest = _Clock(), ManifestBuilder("all.s5cmd")
    writer = ResultsWriter(cache=cache, folder=run_files(_RUN).results, attempt=1, clock=clock)  # type: ignore[arg-type]
    for shard in _draw_shards(series, failed, chance):
        clock.seconds += len(shard) / _SERIES_PER_SECOND
        writer.add(shard)
        for row in shard:
            manifest.add(SeriesRef(row.root, row.series_uuid))
        for row in shard:
            if row.preview:
                _touch(folder / "cache" / row.preview)
    writer.flush()
    job = _job(cache)
    write_json(cache, run_files(_RUN).job, _asked(job, _RUN, series))
    cache.write(_MANIFEST, serialize_manifest(manifest.finish()))
    figures = {question: _ask(question, folder) for question in _QUESTIONS}
    figures["summarize"] |= {"series": series, "parts": writer.parts, "seconds_of_run": clock.seconds}
    return figures


def _read_manifest(cache: Cache) -> Manifest:
    return parse_manifest(cache.read(_MANIFEST) or b"")


def _draw_shards(series: int, failed: float, chance: Random) -> Iterator[tuple[SeriesResult, ...]]:
    for numbers in _chunks(series):
        yield tuple(_draw_row(chance, is_failed=chance.random() < failed) for _ in numbers)


def _chunks(series: int) -> Iterator[range]:
    for first in range(0, series, _SERIES_PER_SHARD):
        yield range(first, min(first + _SERIES_PER_SHARD, series))


def _draw_row(chance: Random, *, is_failed: bool) -> SeriesResult:
    series_uuid = str(UUID(int=chance.getrandbits(128), version=4))
    uids = [f"1.3.6.1.4.1.14519.5.2.1.{chance.randrange(10**4)}.{chance.randrange(10**30)}" for _ in range(2)]
    known = {
        "series_uuid": series_uuid,
        "root": _ROOT,
        "series_instance_uid": uids[0],
        "study_instance_uid": uids[1],
        "modality": chance.choice(("CT", "MR", "PT", "SEG")),
        "sop_class": "1.2.840.10008.5.1.4.1.1.2",
        "viewer": "https://viewer.imaging.datacommons.cancer.gov/v3/viewer/?"
        f"StudyInstanceUIDs={uids[1]}&SeriesInstanceUIDs={uids[0]}",
        "bytes_read": chance.randrange(10**7),
        "requests": chance.randrange(100),
        "seconds_headers": chance.random(),
        "worker": f"tcp://10.0.0.{chance.randrange(16)}:40000",
        "program": "1.0",
    }
    if is_failed:
        return SeriesResult(**known, status="failed", reason="network", error=f"cannot read {_ROOT}/{series_uuid}/")
    drawn = {
        "preview": preview_key("mosaic", series_uuid),
        "n_instances": chance.randrange(1, 1000),
        "n_frames": chance.randrange(1, 1000),
        "n_tiles": 36,
        "transfer_syntax": "1.2.840.10008.1.2.1",
        "window_center": float(chance.randrange(100)),
        "window_width": 400.0,
        "unit": "HU",
        "width": 768,
        "height": 768,
        "preview_bytes": chance.randrange(10**5),
        "seconds_index": chance.random() / 10,
        "seconds_render": chance.random(),
    }
    return SeriesResult(**known, **drawn, status="done")


def _touch(path: Path) -> None:
    try:
        path.touch()
    except FileNotFoundError:
        path.parent.mkdir(parents=True)
        path.touch()


def _job(cache: Cache) -> Job:
    return Job(verb="mosaic", options=MosaicOptions(), cache=cache, name="mosaic")


def _asked(job: Job, run: str, series: int) -> dict[str, object]:
    times = {"attempt": 1, "since": 1, "generation": 1, "started": "2026-01-01T00:00:00+00:00"}
    return {**describe_job(job), **times, "run": run, "series": series, "manifest": "all.s5cmd"}


def _find_own(cache: Cache) -> None:
    job = _job(cache)
    find_state(job, _RUN, open_attempt(job, _RUN), _read_manifest(cache))


def _find_other(cache: Cache) -> None:
    job = _job(cache)
    find_state(job, _OTHER, open_attempt(job, _OTHER), _read_manifest(cache))


def _summarize(cache: Cache) -> None:
    summarize_run(_RUN, _job(cache), _read_manifest(cache), _FIRST, Spent(seconds=1.0))


def _read_status(cache: Cache) -> None:
    read_statuses(cache.url_of(run_files(_RUN).folder))


_QUESTIONS: dict[str, Callable[[Cache], None]] = {
    "status": _read_status,
    "find own": _find_own,
    "find other": _find_other,
    "summarize": _summarize,
    "summarize again": _summarize,
}
"""In an order in which none spoils the next."""


def _ask(question: str, folder: Path) -> dict[str, float]:
    words = [sys.executable, __file__, question, str(folder)]
    figures: dict[str, float] = json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout)
    return figures


def _memory(name: str) -> int:
    """A line of this process's account, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:"))) << 10


def _main() -> None:
    """Answer the question on the command line."""
    question, folder = sys.argv[1:]
    cache = open_cache(f"{folder}/cache")
    before, cpu, begin = _memory("VmRSS"), time.process_time(), time.perf_counter()
    _QUESTIONS[question](cache)
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - begin
    sys.stdout.write(json.dumps({"cpu": cpu, "seconds": seconds, "bytes": _memory("VmHWM") - before}))


if __name__ == "__main__":
    _main()
