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
        return subprocess.run([sys.executable, "-c", program, f"s3://{bucket}"], check=False).returncode

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(run, range(PROCESSES))) == {status}


def test_the_end_waits_for_threads_that_python_did_not_start() -> None:
    has_left = threading.Event()

    def stay() -> None:
        time.sleep(0.2)
        has_left.set()

    _thread.start_new_thread(stay, ())
    _wait_for_more_threads_than_python_started()
    runtime.wait_for_answers()

    assert has_left.is_set()


def test_the_end_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_LONGEST_FAREWELL", 0.05)
    may_leave = _thread.allocate_lock()
    may_leave.acquire()

    def stay() -> None:
        may_leave.acquire()

    _thread.start_new_thread(stay, ())
    _wait_for_more_threads_than_python_started()
    begin = time.monotonic()

    runtime.wait_for_answers()

    may_leave.release()
    assert 0.05 <= time.monotonic() - begin < 1


def _wait_for_more_threads_than_python_started() -> None:
    while len(sys._current_frames()) <= threading.active_count():
        time.sleep(0.001)
