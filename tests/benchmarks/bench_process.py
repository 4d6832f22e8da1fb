"""Running tasks in fresh processes, several times, and taking the medians."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench_figures import medians

from dsp_batch.cli.program import LIBRARY_SETTINGS

_TASKS = Path(__file__).with_name("bench_tasks.py")
_SETTINGS = ("AWS_", "DASK_", "DICOM_SERIES_PREVIEW_")
"""What the names of variables that could change a measurement begin with."""

_modules: dict[tuple[str, ...], list[str]] = {}


def clean_environment(own: Mapping[str, str]) -> dict[str, str]:
    """This environment without the user's settings, with those of the programs, and with a source's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    fixed = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, "DASK_LOGGING__DISTRIBUTED": "error"}
    return {**LIBRARY_SETTINGS, **kept, **fixed, **own}


def run_task(
    task: str, arguments: Mapping[str, Any], *, kind: str, runs: int, environment: Mapping[str, str] | None = None
) -> dict[str, float]:
    """Run a task in fresh processes.

    Args:
        task: A name of `bench_tasks.TASKS`.
        arguments: Its arguments.
        kind: Tasks of one kind import the same modules. These are found out in a run that is not counted, and imported
            before the clock starts in the others.
        runs: How many runs are counted.
        environment: Variables of the source.

    Returns:
        Measure → median.
    """
    key = (task, kind)
    if key not in _modules:
        _modules[key] = _run_once(task, arguments, [], environment or {})["modules"]
    return medians(_run_once(task, arguments, _modules[key], environment or {})["figures"] for _ in range(runs))


def _run_once(
    task: str, arguments: Mapping[str, Any], modules: Sequence[str], environment: Mapping[str, str]
) -> dict[str, Any]:
    request = json.dumps({"task": task, "arguments": arguments, "modules": modules})
    answer: dict[str, Any] = json.loads(run_python([str(_TASKS), request], environment))
    return answer


def run_profile(arguments: Mapping[str, Any], lines: int, environment: Mapping[str, str]) -> str:
    """Profile one series in a fresh process."""
    request = json.dumps({"profile": lines, "arguments": arguments})
    return run_python([str(_TASKS), request], environment)


def run_python(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run a script with this interpreter; what it prints."""
    done = subprocess.run(
        [sys.executable, *words],
        env=clean_environment(environment),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=1800,
    )
    return done.stdout


def time_command(words: Sequence[str], environment: Mapping[str, str], runs: int) -> dict[str, float]:
    """Wall and CPU seconds of a whole command, after a first one that is not counted."""
    return medians([_time_once(words, clean_environment(environment)) for _ in range(runs + 1)][1:])


def _time_once(words: Sequence[str], environment: dict[str, str]) -> dict[str, float]:
    begin = time.perf_counter()
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return {"wall_seconds": seconds, "process_cpu_seconds": usage.ru_utime + usage.ru_stime}
