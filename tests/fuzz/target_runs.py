"""What a run leaves: its documents, its manifest, the parts of its results → status, gallery, the next start."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from case import Case, Target
from chance import Chance
from complete_runs import make_manifest
from gallery_cache import make_row
from parquet_tables import change_json, change_table, write_table

from dsp_batch.batch.retry import read_run_manifest
from dsp_batch.batch.run import StartedRun, begin_attempt
from dsp_batch.batch.runs.attempt import Attempt, open_attempt
from dsp_batch.batch.runs.compaction import compact
from dsp_batch.batch.runs.job import Job, read_job
from dsp_batch.batch.runs.result_parts import build_table
from dsp_batch.batch.runs.results import read_results
from dsp_batch.batch.runs.resume import find_state
from dsp_batch.batch.runs.status import read_failures, read_statuses
from dsp_batch.batch.runs.summary import Spent, summarize_run
from dsp_batch.cache import Cache, open_cache, run_files
from dsp_batch.index.arrays import write_parquet
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions
from dsp_batch.web.gallery import GalleryOptions, write_gallery

_RUN = "mosaic-mosaic-0123456789ab"
_PART = f"runs/{_RUN}/results/part-0001-aaaaaaaa-000000.parquet"
_STEPS = ("status", "failures", "results", "gallery", "start")


@cache
def _load_files() -> dict[str, bytes]:
    """The files of a run of twelve series, by their keys in the cache directory."""
    rows = [make_row(number, "mosaic") for number in range(12)]
    manifest = make_manifest(SeriesRef(root=row.root, series_uuid=row.series_uuid) for row in rows)
    attempt = Attempt(number=1, since=1, generation=1, resumes=False, overwrites=False)
    with tempfile.TemporaryDirectory() as folder:
        job = Job(verb="mosaic", options=MosaicOptions(), cache=open_cache(folder), name="mosaic")
        begun = StartedRun(name=_RUN, job=job, manifest=manifest, attempt=attempt, begin=0.0)
        begin_attempt(begun, {"manifest": "manifest.txt", "root": "s3://idc-open-data"})
        asked, kept = ((Path(folder) / "runs" / _RUN / name).read_bytes() for name in ("job.json", "manifest.parquet"))
    timeless = {**json.loads(asked), "cache": "cache", "started": "2026-01-01T00:00:00+00:00"}
    names = list(dict.fromkeys(name for row in rows for name in row.manifest_columns))
    return {
        f"runs/{_RUN}/job.json": json.dumps(timeless).encode(),
        f"runs/{_RUN}/manifest.parquet": kept,
        f"runs/{_RUN}/summary.json": b'{"attempt": 1, "left": 0, "seconds": 2.5, "finished": "2026-01-01T00:00:00"}',
        "previews/mosaic/product.json": json.dumps({**job.product, "generation": 1}).encode(),
        _PART: write_parquet(build_table(rows, names)),
    }


def make(chance: Chance) -> Case:
    """Change one of the files by what it holds, or by its bytes."""
    key = chance.choice([*_load_files(), _PART])
    data = _load_files()[key]
    if chance.one_in(4):
        data = chance.spoil(data)
    elif key.endswith(".json"):
        data = json.dumps(change_json(json.loads(data), chance)).encode()
    else:
        data = write_table(change_table(pq.read_table(io.BytesIO(data)), chance))
    return Case(data=data, settings={"key": key, "step": chance.choice(_STEPS)})


def attempt(case: Case, folder: Path) -> None:
    """Do what a command on the run does, but for the work on a cluster."""
    shutil.rmtree(folder / "cache", ignore_errors=True)
    for key, data in {**_load_files(), case.settings["key"]: case.data}.items():
        path = folder / "cache" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    place = str(folder / "cache")
    steps: dict[str, Any] = {
        "status": lambda: [str(each) for each in read_statuses(place)],
        "failures": lambda: list(read_failures(place)),
        "results": lambda: read_results(place).to_pylist(),
        "gallery": lambda: write_gallery(open_cache(place), GalleryOptions()),
        "start": lambda: _start_again(open_cache(place)),
    }
    steps[case.settings["step"]]()


def _start_again(place: Cache) -> None:
    job, manifest = read_job(place, _RUN), read_run_manifest(place, _RUN)
    attempt = open_attempt(job, _RUN)
    find_state(job, _RUN, attempt, manifest).sort_out(0, len(manifest), job)
    compact(place, run_files(_RUN).results, manifest.columns)
    summarize_run(_RUN, job, manifest, attempt, Spent(seconds=1.0))


TARGET = Target("runs", make, attempt)
