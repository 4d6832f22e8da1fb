"""`header` and `headers`: print the header of one instance, and a table of the headers of all."""

from __future__ import annotations

import logging
from fnmatch import fnmatchcase
from typing import cast, get_args

import click

from dsp_batch.cli.options import CacheOptions, SeriesOptions, cache_options, log_options, series_options
from dsp_batch.cli.outputs import check_output, suffix_of
from dsp_batch.cli.program import EXIT_ERROR
from dsp_batch.cli.tables import print_json
from dsp_batch.errors import OptionsError
from dsp_batch.options import TableFormat

# ruff: noqa: PLC0415  # whatever a command needs is imported when it runs, so that --help is quick

_FORMATS = get_args(TableFormat)

_log = logging.getLogger(__name__)


@click.command()
@click.argument("series")
@click.option(
    "--position",
    type=float,
    metavar="0.0-1.0",
    help="Take the instance at this position, from 0.0 (head) to 1.0 (feet).  [default: the first in display order]",
)
@click.option(
    "--slice-offset",
    type=int,
    metavar="N",
    help="With --position: take the instance whose frame is N frames further in display order.  [default: 0]",
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="GLOB",
    help="Print only elements whose keyword or tag matches, such as 'Patient*', KVP, '0018*' or 0018,0060; repeat the "
    "option for more.",
)
@series_options
@cache_options
@log_options
def header(  # noqa: PLR0913, PLR0917  # arguments of the command line
    series: str,
    position: float | None,
    slice_offset: int | None,
    tags: tuple[str, ...],
    source: SeriesOptions,
    cache: CacheOptions,
) -> int:
    """Print the header of one instance of a series as DICOM JSON.

    It comes from the index in the cache where there is one. Pixel data are left out, and of large binary values the
    object is told that holds them. The exit status is 1 where no element matches any --tag.
    """
    from dsp_batch.cli.single import open_index
    from dsp_batch.index.tables.dicom_json import choose_elements, describe_instance
    from dsp_batch.render.choose import find_instance

    if position is None and slice_offset is not None:
        raise click.UsageError("--slice-offset goes with --position")
    if position is not None and not 0 <= position <= 1:
        raise click.UsageError(f"--position must lie between 0.0 and 1.0, not {position}")
    index = open_index(series, source, cache)
    row = 0 if position is None else find_instance(index, position, slice_offset or 0)
    found = describe_instance(index, row, tags)
    for tag in tags:
        if not choose_elements(found, [tag]):
            _log.warning("%s: no element matches --tag %s%s", index.url, tag, _suggest_keyword(tag))
    print_json(found)
    return 0 if found else EXIT_ERROR


def _suggest_keyword(glob: str) -> str:
    """Make the end of a message about a pattern that no keyword matches: a similar keyword, if there is one."""
    from dsp_batch.dicom.headers.dictionary import list_keywords
    from dsp_batch.index.columns import suggest_name

    keywords = list_keywords()
    is_known = any(fnmatchcase(keyword.lower(), glob.lower()) for keyword in keywords)
    return "" if is_known else suggest_name(glob.strip("*?"), keywords)


@click.command()
@click.argument("series")
@click.argument("output", required=False, metavar="[OUT]")
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    help="Format of the table.  [default: as OUT ends; without OUT, json]",
)
@click.option(
    "--split-constant",
    is_flag=True,
    help="Keep what all instances share apart: in json and jsonl under the key constant, beside a parquet or csv file "
    "in a second one, such as headers.constant.csv.",
)
@series_options
@cache_options
@log_options
def headers(  # noqa: PLR0913, PLR0917  # arguments of the command line
    series: str,
    output: str | None,
    form: str | None,
    split_constant: bool,  # noqa: FBT001  # a flag of the command line
    source: SeriesOptions,
    cache: CacheOptions,
) -> None:
    """Write the headers of all instances of a series as a table: keywords as columns, a row for each instance.

    They come from the index in the cache where there is one. OUT is a file or storage URL; without it the table is
    printed.
    """
    from dsp_batch.cli.single import open_index, write_output
    from dsp_batch.index.tables.filled import fill_table, split_table
    from dsp_batch.index.tables.formats import write_split, write_table

    chosen = _choose_format(output, form)
    if split_constant and output is None and chosen == "csv":
        raise click.UsageError("--split-constant writes two files of csv: give OUT, or --format json")
    index = open_index(series, source, cache)
    if not split_constant:
        files = {output: write_table(fill_table(index), chosen)}
    elif chosen in ("json", "jsonl"):
        files = {output: write_split(split_table(index), chosen)}
    else:
        varying, constant = split_table(index)
        stem, dot, suffix = str(output).rpartition(".")
        beside = f"{stem}.constant.{suffix}" if dot else f"{output}.constant"
        files = {beside: write_table(constant, chosen), output: write_table(varying, chosen)}
    for name, data in files.items():
        if name is None:
            click.echo(data, nl=False)
        else:
            receipt = write_output(name, data, source, cache)
            _log.debug("%s: %d bytes", receipt.url, receipt.size)


def _choose_format(output: str | None, form: str | None) -> TableFormat:
    """Choose the format of a table, and check that it can be written."""
    chosen = form or (suffix_of(output).removeprefix(".") if output else "json")
    if chosen not in _FORMATS:
        raise OptionsError(f"OUT {output!r} must end in .parquet, .json, .jsonl or .csv, or give --format")
    if output is not None:
        check_output(output)
    elif chosen == "parquet":
        raise click.UsageError("a Parquet file is not printed: give OUT")
    return cast("TableFormat", chosen)
