"""Running a program as a user does, and what came of it."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import click
from click.testing import CliRunner
from program_outcome import Outcome

_SEPARATE_STREAMS: dict[str, Any] = (
    {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
)
"""Click 8.2 always keeps standard error apart, 8.1 when asked to."""


class Run(Protocol):
    """Runs a program in this process."""

    def __call__(self, *arguments: object, stdin: bytes | None = None) -> Outcome: ...


def run_here(program: click.Group, name: str, *arguments: object, stdin: bytes | None = None) -> Outcome:
    """Run a program in this process, through the function that its script calls."""
    result = CliRunner(**_SEPARATE_STREAMS).invoke(
        program, [str(each) for each in arguments], input=stdin, prog_name=name
    )
    assert isinstance(result.exception, SystemExit | None), f"{result.exception!r} left the program"
    return Outcome(result.exit_code, result.stdout, result.stderr)


@contextmanager
def start_process(module: str, *arguments: object, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a program as a process of its own, to be ended by the block; `module` may be a script of the environment."""
    script = Path(sys.executable).with_name(module)
    command = [str(script)] if script.exists() else [sys.executable, "-m", module]
    with subprocess.Popen(
        [*command, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()  # where the block has failed it may run for ever


def run_process(module: str, *arguments: object, cwd: Path | None = None) -> Outcome:
    """Run a program as a process of its own to its end."""
    with start_process(module, *arguments, cwd=cwd) as process:
        stdout, stderr = process.communicate(timeout=120)
    return Outcome(process.returncode, stdout, stderr)
