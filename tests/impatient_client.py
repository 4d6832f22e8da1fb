"""`dsp-batch` that waits no longer than a test can: for caches that fail and clusters that freeze, between parts.

    python impatient_client.py SECONDS WORD …

SECONDS is how long the run waits for a cache that cannot be written; WORDs are those of `dsp-batch`.
"""

from __future__ import annotations

import sys
from functools import partial

from worker_failures import hurry

from dsp_batch.batch import run
from dsp_batch.batch.cluster import connect as cluster
from dsp_batch.batch.cluster import dashboard as observation
from dsp_batch.batch.runs import result_parts as results
from dsp_batch.cli.batch import main

if __name__ == "__main__":
    hurry()
    results.SECONDS_PER_PART = 1.0
    cluster.SECONDS_TO_CHECK = observation.SECONDS_TO_REPORT = 3.0
    run.RunOptions = partial(run.RunOptions, longest_outage=float(sys.argv[1]))  # type: ignore[assignment,misc]
    sys.argv[1:2] = []
    main()
