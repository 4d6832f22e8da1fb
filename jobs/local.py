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

from dsp_batch import DspBatchError, MosaicOptions, read_results, run_batch


def main() -> int:
    """Run the batch and say how it went; the exit status is that of `dsp-batch`."""
    parser = argparse.ArgumentParser(description="Draw a mosaic of every series of a manifest.")
    parser.add_argument("manifest", help="file, URL, or folder of series ending in /")
    parser.add_argument("cache_dir", help="folder or URL that everything is written to")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    try:
        summary = run_batch(arguments.manifest, MosaicOptions(contrast="embedded"), cache=arguments.cache_dir)
    except DspBatchError as error:
        sys.exit(f"error: {error.message}")
    for row in read_results(summary.url).to_pylist():
        if row["status"] == "failed":
            logging.getLogger(__name__).warning("%s/%s: %s", row["root"], row["series_uuid"], row["error"])
    print(summary)
    return 0 if summary.succeeded else 1


if __name__ == "__main__":  # worker processes import this file
    sys.exit(main())
