"""What the programs say on standard error: one line a message, the handlers of all loggers in this place alone."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

VERBOSE = logging.DEBUG

_PACKAGE = "dsp_batch"
_ALWAYS_INFORM = ("dsp_batch.batch", "dsp_batch.cli")
"""Loggers whose information is wanted without `-v`: how far a run is, the address of the dashboard."""

_QUOTES_VALUES = "pydicom"
"""Its messages quote the values of elements, which may be a patient's: they are never shown."""


JSON_FLAG = "--log-json"


class _Form:
    """Whether what is said are JSON objects; for the whole process, as the loggers are."""

    is_json = False


@contextmanager
def log_to_stderr(*, as_json: bool = False) -> Iterator[None]:
    """Show log records on standard error inside the block: warnings, and what `_ALWAYS_INFORM` says.

    Args:
        as_json: As JSON objects, one a line, rather than as text.
    """
    root, handler = logging.getLogger(), _JsonHandler() if as_json else _LineHandler()
    before, _Form.is_json = _Form.is_json, as_json
    loggers = [logging.getLogger(name) for name in (_PACKAGE, *_ALWAYS_INFORM, "py.warnings")]
    levels = [logger.level for logger in loggers]
    root.addHandler(handler)
    _set_levels(verbose=False)
    logging.captureWarnings(True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=rf"{_QUOTES_VALUES}(\.|$)")
            yield
    finally:
        _Form.is_json = before
        logging.captureWarnings(False)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        root.removeHandler(handler)


def log_everything() -> None:
    """Show progress, requests, bytes and seconds too: what `-v` asks for."""
    _set_levels(verbose=True)


def is_verbose() -> bool:
    """Whether `-v` was given."""
    return logging.getLogger(_PACKAGE).isEnabledFor(VERBOSE)


def logs_json() -> bool:
    """Whether `--log-json` was given."""
    return _Form.is_json


def say_last(level: int, line: str, **more: str) -> None:
    """Say how the program ends, on standard error.

    Args:
        level: `logging.ERROR`, or what else it is.
        line: One line.
        more: Further members of the JSON object; left out of text.
    """
    text = _format_json(time.time(), level, f"{_PACKAGE}.cli", line, **more) if _Form.is_json else line
    with suppress(OSError):  # nobody listens
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def printable(text: str) -> str:
    """A text on one line, with its control characters written out: names of objects come from outside."""
    line = " ".join(part for part in text.splitlines() if part)
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in line)


def _set_levels(*, verbose: bool) -> None:
    logging.getLogger(_PACKAGE).setLevel(VERBOSE if verbose else logging.WARNING)
    for name in _ALWAYS_INFORM:
        logging.getLogger(name).setLevel(VERBOSE if verbose else logging.INFO)
    logging.getLogger("py.warnings").setLevel(logging.WARNING if verbose else logging.CRITICAL)


def _format_json(moment: float, level: int, logger: str, message: str, **more: str) -> str:
    """One JSON object, in ASCII: no sign in it ends the line."""
    at = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    name = logging.getLevelName(level).lower()
    return json.dumps({"time": at, "level": name, "logger": logger, "message": message, **more})


class _LineHandler(logging.Handler):
    """Writes each record as one line to what standard error is at that moment: a progress bar may stand in for it."""

    def __init__(self) -> None:
        super().__init__()
        self._begin = time.monotonic()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let through what may be shown: ours, and what goes wrong elsewhere."""
        package = record.name.partition(".")[0]
        if package in (_PACKAGE, "py"):
            return True
        return package != _QUOTES_VALUES and record.levelno >= (logging.WARNING if is_verbose() else logging.ERROR)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            sys.stderr.write(self._describe(record))
            sys.stderr.flush()
        except OSError:  # nobody listens
            return

    def _describe(self, record: logging.LogRecord) -> str:
        line = printable(record.getMessage())
        if record.levelno >= logging.WARNING:
            line = f"{record.levelname.lower()}: {line}"
        elif is_verbose():
            line = f"[{time.monotonic() - self._begin:7.3f} s] {line}"
        details = ""
        if is_verbose() and record.exc_info and record.exc_info[0]:
            details = "".join(traceback.format_exception(*record.exc_info))
        return f"{details}{line}\n"


class _JsonHandler(_LineHandler):
    """Writes each record as one JSON object on a line."""

    def _describe(self, record: logging.LogRecord) -> str:
        more = {}
        if is_verbose() and record.exc_info and record.exc_info[0]:
            more["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return f"{_format_json(record.created, record.levelno, record.name, printable(record.getMessage()), **more)}\n"
