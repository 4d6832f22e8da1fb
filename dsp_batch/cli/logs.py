"""Write messages to standard error, one line each. Only this file adds handlers to loggers."""

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
from typing import Any

from dsp_batch.errors import printable

VERBOSE = logging.DEBUG

_PACKAGE = "dsp_batch"
_ALWAYS_INFORM = ("dsp_batch.batch", "dsp_batch.cli")
"""Loggers that show information without `-v` too: the progress of a run, the address of the dashboard."""

_QUOTES_VALUES = "pydicom"
"""Package whose messages are never shown, because they quote values of elements, which may be a patient's."""


JSON_FLAG = "--log-json"

_MEMBERS = "members"
"""Attribute of a record that holds further members of its JSON object."""


class _Form:
    """The form of messages, for the whole process, as the loggers are: JSON objects or lines of text."""

    is_json = False


@contextmanager
def log_to_stderr(*, as_json: bool = False) -> Iterator[None]:
    """Show warnings, and information of the loggers in `_ALWAYS_INFORM`, on standard error inside the block.

    Args:
        as_json: True to write JSON objects, one per line, instead of text.
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
    """Show progress, requests, bytes and seconds too, as `-v` asks for."""
    _set_levels(verbose=True)


def is_verbose() -> bool:
    """Tell whether `-v` was given."""
    return logging.getLogger(_PACKAGE).isEnabledFor(VERBOSE)


def logs_json() -> bool:
    """Tell whether `--log-json` was given."""
    return _Form.is_json


def with_members(**members: Any) -> dict[str, Any]:
    """Make the `extra` of a record from further members of its JSON object; text leaves them out."""
    return {_MEMBERS: members}


def say_last(level: int, line: str, **more: str) -> None:
    """Write the last message of the program to standard error.

    Args:
        level: Level of the message, such as `logging.ERROR`.
        line: The message, one line.
        more: Further members of the JSON object; text leaves them out.
    """
    text = _format_json(time.time(), level, f"{_PACKAGE}.cli", line, **more) if _Form.is_json else line
    with suppress(OSError):  # nobody listens
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def _set_levels(*, verbose: bool) -> None:
    logging.getLogger(_PACKAGE).setLevel(VERBOSE if verbose else logging.WARNING)
    for name in _ALWAYS_INFORM:
        logging.getLogger(name).setLevel(VERBOSE if verbose else logging.INFO)
    logging.getLogger("py.warnings").setLevel(logging.WARNING if verbose else logging.CRITICAL)


def _format_json(moment: float, level: int, logger: str, message: str, **more: Any) -> str:
    """Write one JSON object in ASCII, in which no character ends the line."""
    at = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    name = logging.getLevelName(level).lower()
    return json.dumps({"time": at, "level": name, "logger": logger, "message": message, **more})


class _LineHandler(logging.Handler):
    """Writes each record as one line to the standard error of that moment, which a progress bar may have replaced."""

    def __init__(self) -> None:
        super().__init__()
        self._begin = time.monotonic()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let through our own records, and warnings or errors of other packages."""
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
        line = printable(record.getMessage().strip())
        if record.levelno >= logging.WARNING:
            line = f"{record.levelname.lower()}: {line}"
        elif is_verbose():
            line = f"[{time.monotonic() - self._begin:7.3f} s] {line}"
        details = ""
        if is_verbose() and record.exc_info and record.exc_info[0]:
            details = "".join(traceback.format_exception(*record.exc_info))
        return f"{details}{line}\n"


class _JsonHandler(_LineHandler):
    """Writes each record as one JSON object on a line of its own."""

    def _describe(self, record: logging.LogRecord) -> str:
        more: dict[str, Any] = {**getattr(record, _MEMBERS, {})}
        if is_verbose() and record.exc_info and record.exc_info[0]:
            more["exception"] = "".join(traceback.format_exception(*record.exc_info))
        message = printable(record.getMessage().strip())
        return f"{_format_json(record.created, record.levelno, record.name, message, **more)}\n"
