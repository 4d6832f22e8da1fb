"""The end of a process: with its own status, however soon after a request."""

from __future__ import annotations

import _thread
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import obstore  # noqa: F401  # the end waits for its threads alone
import pytest
from servers import S3Server
from time_limits import SECONDS

from dsp_batch.storage import runtime

UUID = "38902e14-b11f-4548-910e-771ee757dc82"
PROCESSES = 8
"""Of each program; without the wait at the end about one in fifteen was aborted."""


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (f"dsp_batch.load_index('{UUID}', root=root)", 3),
        ("dsp_batch.find_series('389*', root=root)", 3),
        ("dsp_batch.open_cache(root).read('x')", 0),
        ("list(dsp_batch.open_cache(root).list('indices'))", 0),
        ("list(dsp_batch.read_manifest(root + '/'))", 3),
    ],
)
def test_a_process_that_ends_right_after_a_request_ends_with_its_own_status(
    s3_environment: S3Server, bucket: str, call: str, status: int
) -> None:
    program = f"import sys, dsp_batch; root = sys.argv[1]\ntry: {call}\nexcept dsp_batch.DspBatchError: sys.exit(3)"

    def run(_: int) -> int:
        return subprocess.run([sys.executable, "-c", program, f"s3://{bucket}"], check=False, timeout=60).returncode

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(run, range(PROCESSES))) == {status}


def test_the_end_waits_for_threads_that_python_did_not_start() -> None:
    has_come, has_left = threading.Event(), threading.Event()

    def stay() -> None:
        has_come.set()
        time.sleep(0.2)
        has_left.set()

    _thread.start_new_thread(stay, ())
    assert has_come.wait(SECONDS)
    runtime.wait_for_answers()

    assert has_left.is_set()


def test_the_end_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_LONGEST_FAREWELL", 0.05)
    has_come, may_leave = threading.Event(), threading.Event()

    def stay() -> None:
        has_come.set()
        may_leave.wait(SECONDS)

    _thread.start_new_thread(stay, ())
    assert has_come.wait(SECONDS)
    begin = time.monotonic()

    runtime.wait_for_answers()

    may_leave.set()
    assert 0.05 <= time.monotonic() - begin < 1
