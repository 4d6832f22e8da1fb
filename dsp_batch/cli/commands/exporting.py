"""`dsp-batch export-headers`: one table of the headers of all series in a cache."""

from __future__ import annotations

import logging
from typing import Literal

import click

from dsp_batch.cli.options import endpoint_option, log_options
from dsp_batch.cli.outputs import check_output, is_parquet
from dsp_batch.cli.program import EXIT_ERROR
from dsp_batch.cli.tables import print_line
from dsp_batch.errors import OptionsError, StorageError

# ruff: noqa: PLC0415  # whatever a command needs is imported when it runs, so that --help is quick

_log = logging.getLogger(__name__)


class _ExportCommand(click.Command):
    """A command that explains itself to those who write its output as a second argument."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse arguments."""
        if len(args) == 2 and is_parquet(args[1]) and not any(each.startswith("-") for each in args):
            raise click.UsageError(f"the output is an option: write {args[0]} -o {args[1]}", ctx)
        return super().parse_args(ctx, args)


@click.command("export-headers", cls=_ExportCommand)
@click.argument("directory", metavar="CACHE_DIR")
@click.option("-o", "--output", required=True, metavar="FILE.parquet", help="File on this machine to write.")
@click.option(
    "--per",
    type=click.Choice(["instance", "series"]),
    default="instance",
    show_default=True,
    help="Write a row for each instance, or one for each series, with null for what varies.",
)
@click.option(
    "--columns",
    multiple=True,
    metavar="KEYWORD",
    help="Further element to write, by keyword or, if it is private, as gggg_eeee; repeatable, or separated by commas.",
)
@endpoint_option
@log_options
def export_headers(
    directory: str, output: str, per: Literal["instance", "series"], columns: tuple[str, ...], endpoint_url: str | None
) -> int:
    """Write the headers of all indexed series of a cache as one Parquet table.

    Common keywords are plain columns of one type each, and values that all instances of a series share stand in every
    row. The table holds patient IDs, dates and descriptions, but no names of persons unless they are asked for.
    """
    from dsp_batch.batch.export import export_headers
    from dsp_batch.cache import open_cache
    from dsp_batch.storage.urls import local_path

    path = local_path(output)
    if not is_parquet(output) or path is None:
        raise OptionsError(f"OUTPUT {output!r} must be a file on this machine that ends in .parquet")
    check_output(output)
    names = [name.strip() for text in columns for name in text.split(",") if name.strip()]
    cache = open_cache(directory, endpoint_url)
    if next(cache.list("indices"), None) is None:
        raise StorageError(f"there are no indices in {cache.url}: give a cache directory", "not-found")
    written = export_headers(cache, path, columns=names, per=per)
    if written.partial:
        _log.warning("%d indices that were built with --limit are left out", written.partial)
    print_line(f"{written.rows:,} rows of {written.series:,} series in {path}")
    return EXIT_ERROR if written.failed else 0
