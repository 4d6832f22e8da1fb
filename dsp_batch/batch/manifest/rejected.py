"""Lines of a manifest that name no series, as they are shown and as they are kept."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import islice

from dsp_batch.batch.manifest.table import RejectedLine, RejectedLines

_log = logging.getLogger(__name__)

SHOWN_LINES = 20
"""Lines that are shown one by one."""

_FLAT = str.maketrans("\t\r\n", "   ")


def show_rejected(lines: RejectedLines, more: str) -> None:
    """Show the first lines as warnings.

    Args:
        lines: The lines.
        more: What is said of the others, where there are any.
    """
    for line in islice(lines, SHOWN_LINES):
        _log.warning("%s", line)
    if len(lines) > SHOWN_LINES:
        _log.warning("%s", more)


def format_rejected(lines: Iterable[RejectedLine]) -> bytes:
    """Write lines for `rejected.txt`: number, text and reason, between tabs."""
    rows = (f"{line.line}\t{line.text.translate(_FLAT)}\t{line.reason.translate(_FLAT)}\n" for line in lines)
    return b"".join(row.encode("utf-8", "backslashreplace") for row in rows)
