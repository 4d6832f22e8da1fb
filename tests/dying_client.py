"""`dsp-batch`, killed with -9 at a moment that a test names.

    python dying_client.py EVENT PART WORD …

EVENT is an audit event of Python, such as `os.rename`, and PART a part of the path that it is about: the process dies
just before that happens for the first time. WORDs are those of `dsp-batch`.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any


def _die_at(moment: str, part: str) -> None:
    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == moment and part in str(arguments[event == "os.rename"]):  # that one names source and destination
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


if __name__ == "__main__":
    _die_at(*sys.argv[1:3])
    sys.argv[1:3] = []
    from dsp_batch.cli.batch import main

    main()
