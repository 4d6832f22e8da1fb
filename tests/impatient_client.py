"""`dsp-batch` that waits for a cache that cannot be written no longer than a test can.

    python impatient_client.py SECONDS WORD …

WORDs are those of `dsp-batch`.
"""

from __future__ import annotations

import sys
from functools import partial

from dsp_batch.batch import run
from dsp_batch.cli.batch import main

if __name__ == "__main__":
    run.RunOptions = partial(run.RunOptions, patience=float(sys.argv[1]))  # type: ignore[assignment,misc]
    sys.argv[1:2] = []
    main()
