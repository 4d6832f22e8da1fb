"""The CLI reference, written from what the programs say of themselves.

`python tests/cli/reference.py` writes docs/reference/cli.md; a test tells when that is due.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from dsp_batch.cli import batch, series

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"

PROGRAMS = {series.NAME: series.program, batch.NAME: batch.program}

_HEAD = """\
# Command line

<!-- Written by `python tests/cli/reference.py` from --help; do not edit. -->

Two programs: `dicom-series-preview` works on one series, `dsp-batch` on a manifest of series. Where scripts are not on
the path, `python -m dsp_batch preview` and `python -m dsp_batch batch` are the same two.

Errors are one line on standard error, `-v` adds details; results alone go to standard output. Exit status: 0 success,
1 any error, usage errors included, 130 interrupted (Ctrl-C).
"""

_OLDER = """\
## Older spellings

These keep working, each with one line of warning:

| older | write |
|---|---|
| `dicom-series-preview [OPTIONS] SERIES OUTPUT` | `dicom-series-preview mosaic SERIES OUTPUT [OPTIONS]` |
| the same with `--position P` | `dicom-series-preview get-image SERIES OUTPUT --position P [OPTIONS]` |
| `--contrast-preset NAME` | `--contrast NAME` |
| `--window-width W --window-center C` | `--contrast W/C` |
| `build-index SERIES FILE.parquet` | `build-index SERIES -o FILE.parquet` |
"""


def walk_commands() -> Iterator[tuple[str, click.Command]]:
    """Both programs and their commands, with the words that call them."""
    for name, program in PROGRAMS.items():
        yield name, program
        for command_name in program.list_commands(click.Context(program)):
            yield f"{name} {command_name}", program.commands[command_name]


def write_reference() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_describe(*each) for each in walk_commands()), _OLDER])


def _describe(words: str, command: click.Command) -> str:
    program, _, name = words.partition(" ")
    parent = click.Context(PROGRAMS[program], info_name=program) if name else None
    # A width of its own: the page must not depend on the terminal it is written from.
    context = click.Context(command, info_name=name or program, parent=parent, terminal_width=100)
    level = "###" if name else "##"
    return f"{level} {words}\n\n```text\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(write_reference(), encoding="utf-8")
