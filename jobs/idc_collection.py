"""Preview one collection of the Imaging Data Commons: manifest, plan, batch, and what came of it.

    pip install 'dsp-batch[idc]'
    python jobs/idc_collection.py rider_pilot cache/ --modality CT --limit 20

The manifest comes from the IDC index, which the extra `idc` installs; series are read from IDC's public buckets on AWS,
without an account. It ends with a table of the results. Add `--scheduler` to run on a cluster rather than here.

Run: on Linux, with idc-index-data 25.0.5, where no network was: the manifest and the plan came out, and a row `failed`
for each of three series. Not run: with the network; reading itself is run by jobs/local.py.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from dsp_batch import DspBatchError, MosaicOptions, RunSummary, plan_batch, read_results, run_batch
from dsp_batch.batch.manifest.from_idc import list_selected
from dsp_batch.idc.selection import SeriesSelection


def main() -> int:
    """Write the manifest, say what it will take, run the batch over it, and show the slowest series."""
    parser = argparse.ArgumentParser(description="Draw a mosaic of every series of a collection of IDC.")
    parser.add_argument("collection_id", help="such as rider_pilot")
    parser.add_argument("cache_dir", type=Path, help="folder that everything is written to")
    parser.add_argument("--modality", action="append", default=[], help="CT, MR …; may be repeated")
    parser.add_argument("--limit", type=int, help="take the first series only")
    parser.add_argument("--scheduler", help="address of a Dask scheduler")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    try:
        manifest = write_manifest(arguments)
        print(plan_batch(manifest))
        summary = run_batch(manifest, MosaicOptions(), cache=arguments.cache_dir, scheduler=arguments.scheduler)
    except DspBatchError as error:
        sys.exit(f"error: {error.message}")
    print(summary)
    show_slowest(summary)
    return 0 if summary.succeeded else 1


def write_manifest(arguments: argparse.Namespace) -> Path:
    """The series of the collection, as a manifest beside the cache's other folders."""
    selection = SeriesSelection(
        collection_ids=(arguments.collection_id,), modalities=tuple(arguments.modality), limit=arguments.limit
    )
    lines = list(list_selected(selection))
    manifest: Path = arguments.cache_dir / f"{arguments.collection_id}.s5cmd"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text("".join(f"{line}\n" for line in lines))
    logging.getLogger(__name__).info("%d series in %s", sum(not line.startswith("#") for line in lines), manifest)
    return manifest


def show_slowest(summary: RunSummary) -> None:
    """The ten series that took longest."""
    columns = ["series_uuid", "modality", "status", "n_instances", "seconds_headers", "seconds_render", "requests"]
    results = read_results(summary.url).select(columns)
    for row in results.sort_by([("seconds_headers", "descending")])[:10].to_pylist():
        print(*row.values(), sep="\t")


if __name__ == "__main__":  # worker processes import this file
    sys.exit(main())
