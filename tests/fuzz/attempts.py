"""Attempts in a process of their own: how many there were, and which failed, be it by the death of the process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from case import FAILURES, PROGRESS

WORKER = Path(__file__).with_name("worker.py")

_TESTS = WORKER.parents[1]
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join(map(str, (_TESTS.parent, _TESTS, _TESTS / "web")))}
"""Variables of the process: the package beside the tests, and what other tests have too."""

_MOST_DEATHS = 20
"""Deaths and hangs of one target after which it is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """An input that the package did not take as it should."""

    seed: int
    kind: str
    message: str


@dataclass(slots=True, kw_only=True)
class Attempts:
    """The attempts of one target."""

    target: str
    folder: Path
    """Folder of the target's process; inputs that failed are kept in it."""

    silence: float = 180.0
    """Seconds at one input after which a process counts as hanging, on a machine that does much besides."""

    next_seed: int = 0
    tried: int = 0
    deaths: int = 0
    failures: list[FailedAttempt] = field(default_factory=list)

    def run(self, count: int, seconds: float) -> None:
        """Try the inputs of the next seeds, until there were so many or the time is over.

        A process that dies or hangs fails the input that it was at; another one goes on behind it.
        """
        end, limit = self.next_seed + count, time.monotonic() + seconds
        while self.next_seed < end and time.monotonic() < limit and self.deaths < _MOST_DEATHS:
            first = self.next_seed
            trouble = self._run_process(str(first), str(end - first), str(limit - time.monotonic()))
            reached = max(first, _read_number(self.folder / PROGRESS, first))
            if trouble:
                self.deaths += 1
                self.failures.append(FailedAttempt(seed=reached, kind=trouble[0], message=trouble[1]))
                reached += 1
            self.tried += reached - first
            self.next_seed = reached
            self._take_failures()
        self._keep_failed()

    def replay(self, path: Path) -> None:
        """Try an input that was kept."""
        trouble = self._run_process("replay", str(path))
        if trouble:
            self.failures.append(FailedAttempt(seed=0, kind=trouble[0], message=trouble[1]))
        self.tried = 1
        self._take_failures()

    def kinds(self) -> dict[str, list[FailedAttempt]]:
        """Failures by their kind."""
        found: dict[str, list[FailedAttempt]] = {}
        for failure in self.failures:
            found.setdefault(failure.kind, []).append(failure)
        return found

    def path_of(self, failure: FailedAttempt) -> Path:
        """File that keeps a failed input."""
        return self.folder / f"{self.target}-{failure.seed}.case"

    def _run_process(self, *words: str) -> tuple[str, str] | None:
        """Run a process; kind and message where it has died or hung."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / PROGRESS).unlink(missing_ok=True)
        command = [sys.executable, str(WORKER), self.target, str(self.folder), *words]
        with (self.folder / "stderr").open("w+b") as stderr:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, env=os.environ | ENVIRONMENT
            )
            try:
                hangs = self._wait(process)
            finally:
                process.kill()
                process.wait(30)
            stderr.seek(0)
            said = stderr.read()[-4000:].decode(errors="replace")
        if hangs:
            return "hang", said
        return (f"death by {_name_end(process.returncode)}", said) if process.returncode else None

    def _wait(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait for the end of a process; True where it hangs, and was asked for its stacks."""
        seed, since = -1, time.monotonic()
        while process.poll() is None:
            time.sleep(0.05)
            now = _read_number(self.folder / PROGRESS, 0)
            if now != seed:
                seed, since = now, time.monotonic()
            elif time.monotonic() - since > self.silence:
                process.send_signal(signal.SIGABRT)  # faulthandler writes the stacks
                time.sleep(1)
                return True
        return False

    def _take_failures(self) -> None:
        path = self.folder / FAILURES
        if path.exists():
            self.failures += [FailedAttempt(**json.loads(line)) for line in path.read_text().splitlines()]
            path.unlink()

    def _keep_failed(self) -> None:
        """Keep the first input of each kind of failure."""
        for first, *_ in self.kinds().values():
            path = self.path_of(first)
            if not path.exists():
                command = [
                    sys.executable,
                    str(WORKER),
                    self.target,
                    str(self.folder),
                    "save",
                    str(first.seed),
                    str(path),
                ]
                subprocess.run(command, check=True, timeout=120, env=os.environ | ENVIRONMENT)


def _read_number(path: Path, default: int) -> int:
    text = path.read_text().strip() if path.exists() else ""
    return int(text or default)


def _name_end(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"
