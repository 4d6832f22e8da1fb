"""Run a batch on this machine, from Python: one process a core.

    python jobs/local.py MANIFEST CACHE_DIR

It does what `dsp-batch mosaic MANIFEST --cache-dir CACHE_DIR` does, and is the place to start a program of your own
from: other options, another verb, a manifest made on the way, the results read at once. Called again it goes on where
it stopped.

Run: on Linux with 2 cores, over the phantom collection; the tests run it.
"""

from __future__ import annotations

import argparse
import logging
import sys

from dsp_batch import MosaicOptions, open_cache, parse_contrast
from dsp_batch.batch.run import RunOptions, run_manifest
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.progress import open_progress
from dsp_batch.errors import DspBatchError
from dsp_batch.options import ClusterOptions


def main() -> int:
    """Run the batch and say how it went; the exit status is that of `dsp-batch`."""
    parser = argparse.ArgumentParser(description="Draw a mosaic of every series of a manifest.")
    parser.add_argument("manifest", help="file, URL, or folder of series ending in /")
    parser.add_argument("cache_dir", help="folder or URL that everything is written to")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    job = Job(
        verb="mosaic",
        options=MosaicOptions(contrast=parse_contrast("embedded")),
        cache=open_cache(arguments.cache_dir),
        name="mosaic",
    )
    run = RunOptions(source=arguments.manifest, root="s3://idc-open-data")
    try:
        summary = run_manifest(run, job, ClusterOptions(), open_progress())
    except DspBatchError as error:
        sys.exit(f"error: {error.message}")
    print(summary)
    return 0 if summary.succeeded else 1


if __name__ == "__main__":  # worker processes import this file
    sys.exit(main())
