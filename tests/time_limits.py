"""Waits of tests for other threads and processes, which all end."""

from __future__ import annotations

import multiprocessing.process
import subprocess
import threading
import time

import pytest

SECONDS = 60.0
"""Seconds that a thread or a process has, on a machine that does much besides."""


def join_all(*tasks: threading.Thread | multiprocessing.process.BaseProcess, seconds: float = SECONDS) -> None:
    """Wait for the end of threads or processes; the test fails where one goes on."""
    limit = time.monotonic() + seconds
    for task in tasks:
        task.join(max(0.0, limit - time.monotonic()))
    late = [task.name for task in tasks if task.is_alive()]
    assert not late, f"not ended after {seconds:g} s: {', '.join(late)}"


def read_until(process: subprocess.Popen[str], part: str, seconds: float = SECONDS) -> str:
    """Wait for a line of standard error; a process that does not say it in time is killed, and the test fails."""
    assert process.stderr is not None
    lines = []
    deadline = threading.Timer(seconds, process.kill)
    deadline.start()
    try:
        for line in process.stderr:
            lines.append(line)
            if part in line:
                return line
    finally:
        deadline.cancel()
    pytest.fail(f"{part!r} was never said: {lines}")
