"""Print results on standard output: tables for people, JSON for programs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click

from dsp_batch.errors import printable


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print columns, numbers to the right and text to the left; None stays empty."""
    lines = [list(header), *([_format_cell(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = [any(isinstance(row[number], int | float) for row in rows) for number in range(len(header))]
    for line in lines:
        cells = zip(line, widths, right, strict=True)
        print_line("  ".join(cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in cells))


def print_json(value: Any) -> None:
    """Print a JSON document."""
    import json  # noqa: PLC0415  # not for --help

    click.echo(json.dumps(value, indent=2))


def print_line(line: str) -> None:
    """Print a line with its control characters written out, as bytes, because a path in it need not be text."""
    # Surrogates stand for bytes that are no text, which Python gives back as they were.
    click.echo(os.fsencode("".join(c if "\udc80" <= c <= "\udcff" else printable(c) for c in line.rstrip())))


def _format_cell(cell: Any) -> str:
    if cell is None:
        return ""
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:,.1f}" if isinstance(cell, float) else printable(str(cell))
