"""The error tree: one class for each stage that can fail, one line for each message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from reprlib import repr as shorten
from typing import Any, Literal, get_args

Reason = Literal[
    "no-pixels",
    "raw-data",
    "not-found",
    "access-denied",
    "network",
    "not-dicom",
    "bad-header",
    "unsupported-transfer-syntax",
    "bad-pixels",
    "too-large",
    "timeout",
    "out-of-memory",
    "worker-died",
    "write-failed",
    "internal",
]
"""Reasons why a series may have no preview, as result rows name them."""

SKIPPED_REASONS: frozenset[Reason] = frozenset({"no-pixels", "raw-data"})
"""Reasons of series that are skipped; all other reasons mean that they failed."""

FAILURE_REASONS: tuple[Reason, ...] = tuple(reason for reason in get_args(Reason) if reason not in SKIPPED_REASONS)
"""Reasons of series that failed."""


CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0 and C1 controls, line and paragraph separators, marks that reverse the direction of text, lone surrogates."""


def printable(text: str) -> str:
    r"""Write out what of a text from outside is not printable: control characters as `\x1b`, line ends as `\n`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text)


def first_line(error: BaseException) -> str:
    """Shorten the message of an exception to its first line; the name of its class where it has none."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def show_value(value: Any) -> str:
    """Write a value of a wrong type for a message: on one line, and not all of it where it is long."""
    return " ".join(shorten(value).split())


class DspBatchError(Exception):
    """An error that a user can understand and act upon.

    Args:
        message: One line: what is wrong, where (series, object), what to do. Control characters are written out.
        reason: The reason in a result row; None for the usual one of its class.
    """

    default_reason: Reason = "internal"

    def __init__(self, message: str, reason: Reason | None = None) -> None:
        super().__init__(message)
        self.message = printable(message.strip())
        self.reason: Reason = reason or self.default_reason

    def __reduce__(self) -> tuple[type[DspBatchError], tuple[Any, ...]]:
        """Pickle both arguments: an error crosses from a worker to the runner."""
        return type(self), (self.message, self.reason)


class OptionsError(DspBatchError):
    """An option or an argument that the user must correct."""


class ManifestError(DspBatchError):
    """A manifest that cannot be read, or a line of it that names no series."""


class StorageError(DspBatchError):
    """An object that cannot be listed or read."""

    default_reason: Reason = "network"


class ArchivedError(StorageError):
    """An object that lies in an archive and must be restored before it can be read; its neighbours may be readable."""

    default_reason: Reason = "access-denied"


class HeaderError(DspBatchError):
    """Bytes that do not parse as a DICOM header."""

    default_reason: Reason = "bad-header"


class SeriesError(DspBatchError):
    """A series that has nothing to index or to draw."""

    default_reason: Reason = "not-dicom"


class NoPixelsError(SeriesError):
    """A series that has nothing to draw.

    Args:
        message: One line: what is wrong, where (series, object), what to do.
        reason: `no-pixels` or `raw-data`.
        known: Values that its first instance gives to fields of the result row.
    """

    default_reason: Reason = "no-pixels"

    def __init__(
        self, message: str, reason: Reason | None = None, known: Mapping[str, str | None] | None = None
    ) -> None:
        super().__init__(message, reason)
        self.known = dict(known or {})

    def __reduce__(self) -> tuple[type[DspBatchError], tuple[Any, ...]]:
        """Pickle the known values too."""
        return type(self), (self.message, self.reason, self.known)


class TooDearError(SeriesError):
    """A series whose headers have more bytes than may be read of it."""

    default_reason: Reason = "too-large"


class PixelError(DspBatchError):
    """A frame that cannot be read or decoded."""

    default_reason: Reason = "bad-pixels"


class SinkError(DspBatchError):
    """An output that cannot be written."""

    default_reason: Reason = "write-failed"


class UnavailableError(SinkError):
    """An output that cannot be written for now, after all attempts; waiting may help."""


def out_of_memory(what: str, needed: int, limit: int) -> SeriesError:
    """Make the error of a series that takes more memory than it may."""
    megabytes = f"{max(needed, 0) / 1e6:,.0f} MB or more, and there are {limit / 1e6:,.0f} MB for a series"
    return SeriesError(f"{what} {megabytes}: run it where there is more memory", "out-of-memory")
