"""Watches an attempt: what it raises, says, writes, and takes of memory and time."""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from case import CANARY, Case, Target

from dsp_batch.errors import DspBatchError

MOST_ADDRESSES = 6 << 30
"""Bytes of addresses of the process; beyond, the system refuses memory."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {
    "os.rename": 2,
    "os.remove": 1,
    "os.rmdir": 1,
    "os.mkdir": 1,
    "os.link": 2,
    "os.symlink": 2,
    "os.truncate": 1,
}
"""Event of Python's audit → number of its arguments that are paths."""


class Failure(NamedTuple):
    """What is wrong with how the package took an input."""

    kind: str
    """Kind of the failure and where it showed: failures of one kind are reported together."""

    message: str


class _TooSlowError(BaseException):
    """The attempt has computed for too long. No handler of errors takes it for one."""


@dataclass(slots=True)
class Watch:
    """Watches the attempts of this process."""

    inside: Path
    """Folder in which attempts may write. What lies beside it may not even be read."""

    trespasses: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Set limits to the process, and listen to what it opens and says. Nothing ends that."""
        resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGPROF, _stop)
        handler = logging.Handler()
        handler.emit = lambda record: self.said.append(record.getMessage())  # type: ignore[method-assign]
        logging.captureWarnings(capture=True)
        logging.basicConfig(handlers=[handler])
        logging.getLogger("dsp_batch").setLevel(logging.DEBUG)
        sys.addaudithook(self._hear)

    def try_case(self, target: Target, case: Case) -> Failure | None:
        """Give an input to a target; what is wrong with how it took it, or None."""
        self.trespasses.clear()
        self.said.clear()
        memory = _most_memory()
        failure = _run(lambda: target.attempt(case, self.inside), self.said, target.seconds)
        if failure is None and self.trespasses:
            failure = Failure("outside of its folder", self.trespasses[0])
        if failure is None and (leaks := [each for each in self.said if CANARY in each.upper()]):
            failure = Failure("a patient in a message", leaks[0])
        if failure is None and (grown := _most_memory() - memory) > target.most_memory:
            failure = Failure("memory", f"{grown >> 20} MiB more than ever before")
        return failure

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = bool((mode and set(mode) & set("wax+")) or (flags and flags & _WRITES))
            self._check(event, path, writes=writes)
        elif event in _CHANGES:
            for path in arguments[: _CHANGES[event]]:
                self._check(event, path, writes=True)

    def _check(self, event: str, path: object, *, writes: bool) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a file that was opened before
        full = os.path.normpath(self.inside / os.fsdecode(path))
        allowed = Path(full).is_relative_to(self.inside) or full == os.devnull
        if not allowed and (writes or Path(full).is_relative_to(self.inside.parent)):
            self.trespasses.append(f"{event} {full}")


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise _TooSlowError


def _run(work: Callable[[], None], said: list[str], seconds: float) -> Failure | None:
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        work()
    except DspBatchError as error:
        said.append(str(error))
        if not error.message.isprintable() or not error.message:
            return Failure("no line", repr(error.message))
    except _TooSlowError as error:
        return Failure(f"slow in {_place(error)}", f"more than {seconds:g} s")
    except Exception as error:  # noqa: BLE001  # any other than the package's own is what is looked for
        return Failure(f"{type(error).__name__} in {_place(error)}", "".join(traceback.format_exception(error)))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def _place(error: BaseException) -> str:
    """Name the innermost function of the package, else of the target, that an exception came through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    ours = [frame for frame in frames if "/dsp_batch/" in frame.filename] or frames
    return f"{Path(ours[-1].filename).stem}.{ours[-1].name}"


def _most_memory() -> int:
    """Measure the most memory that this program has held; `getrusage` counts what has started it too (proc(5))."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM:"))
    return int(peak.split()[1]) << 10
