"""`python -m dsp_batch preview …` is `dicom-series-preview …`, `python -m dsp_batch batch …` is `dsp-batch …`."""

from __future__ import annotations

from typing import NoReturn

import click

from dsp_batch.cli import batch, series
from dsp_batch.cli.program import Program, run_to_end
from dsp_batch.version import __version__


@click.group(cls=Program)
@click.version_option(__version__, message="dsp-batch %(version)s")
def program() -> None:
    """A preview and a header index for every DICOM series."""


program.add_command(series.program, "preview")
program.add_command(batch.program, "batch")


def main() -> NoReturn:
    """Run the program that the first argument names, and exit."""
    run_to_end(program, "python -m dsp_batch")


if __name__ == "__main__":
    main()
