"""`dicom-series-preview`: one series at a time."""

from __future__ import annotations

import logging
import os
from typing import NoReturn

import click

from dsp_batch.cli.commands.cleaning import clear_index
from dsp_batch.cli.commands.header import header, headers
from dsp_batch.cli.options import (
    CacheOptions,
    SeriesOptions,
    cache_options,
    log_options,
    series_options,
)
from dsp_batch.cli.outputs import is_parquet
from dsp_batch.cli.program import Program, run_to_end
from dsp_batch.cli.verb_options import (
    cine_options,
    contrast_mosaic_options,
    image_options,
    index_options,
    mosaic_options,
    preview_options,
)
from dsp_batch.cli.view import view
from dsp_batch.options import (
    CineOptions,
    ContrastMosaicOptions,
    ImageOptions,
    IndexOptions,
    MosaicOptions,
    PreviewOptions,
)
from dsp_batch.version import __version__

_log = logging.getLogger(__name__)


class SeriesProgram(Program):
    """The commands. `[OPTIONS] SERIES OUTPUT` without one means `mosaic`, or `get-image` where it has a position."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse arguments, and put the command in front where it was left out."""
        if args and args[0] not in self.commands:
            verb = "get-image" if any(each.partition("=")[0] == "--position" for each in args) else "mosaic"
            words = self._words(ctx, verb, args)
            if words[0] in self.commands:
                raise click.UsageError(f"options come after the command: write {words[0]} first", ctx)
            if len(words) == 2 and None not in words:
                _log.warning("calls without a command are deprecated: write %s %s …", ctx.command_path, verb)
                args = [verb, *args]
        return super().parse_args(ctx, args)

    def _words(self, ctx: click.Context, verb: str, args: list[str]) -> list[str | None]:
        """List the arguments that are neither options of a verb nor their values; None stands for a missing one."""
        parsed = self.commands[verb].make_context(verb, list(args), parent=ctx, resilient_parsing=True)
        return [parsed.params.get("series"), parsed.params.get("output"), *parsed.args]


# ruff: noqa: PLC0415  # whatever a command needs is imported when it runs, so that --help is quick

NAME = "dicom-series-preview"


@click.group(
    cls=SeriesProgram,
    epilog="SERIES is a folder or file that is there, a series UUID (with or without hyphens), a prefix of one "
    "(38902e14*), a URL of a series folder, or a SeriesInstanceUID. Exit status: 0 success, 1 any error, "
    "130 interrupted.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def program() -> None:
    """Preview a DICOM series and index its headers, reading only the bytes that this takes."""


@program.command()
@click.argument("series")
@click.argument("output")
@preview_options
@series_options
@cache_options
@log_options
def preview(series: str, output: str, options: PreviewOptions, source: SeriesOptions, cache: CacheOptions) -> None:
    """Draw one picture of any series: its frames as a grid, its only frame, or a card that describes it.

    OUTPUT is a file or storage URL that ends in .webp, .jpg or .jpeg.
    """
    from dsp_batch.cli.single import preview

    preview(series, output, options, source, cache)


@program.command()
@click.argument("series")
@click.argument("output")
@mosaic_options
@series_options
@cache_options
@log_options
def mosaic(series: str, output: str, options: MosaicOptions, source: SeriesOptions, cache: CacheOptions) -> None:
    """Draw a grid of frames spread evenly over a series, head first.

    OUTPUT is a file or storage URL that ends in .webp, .jpg or .jpeg.
    """
    from dsp_batch.cli.single import preview

    preview(series, output, options, source, cache)


@program.command("get-image")
@click.argument("series")
@click.argument("output")
@image_options
@series_options
@cache_options
@log_options
def get_image(series: str, output: str, options: ImageOptions, source: SeriesOptions, cache: CacheOptions) -> None:
    """Draw a single frame, at a position along the series.

    OUTPUT is a file or storage URL that ends in .webp, .jpg or .jpeg.
    """
    from dsp_batch.cli.single import preview

    preview(series, output, options, source, cache)


@program.command("contrast-mosaic")
@click.argument("series")
@click.argument("output")
@contrast_mosaic_options
@series_options
@cache_options
@log_options
def contrast_mosaic(
    series: str, output: str, options: ContrastMosaicOptions, source: SeriesOptions, cache: CacheOptions
) -> None:
    """Draw the same frames under several contrasts, one column per contrast.

    Give --position for one row, or --start for several. OUTPUT is a file or storage URL that ends in .webp, .jpg or
    .jpeg.
    """
    from dsp_batch.cli.single import preview

    preview(series, output, options, source, cache)


@program.command()
@click.argument("series")
@click.argument("output")
@cine_options
@series_options
@cache_options
@log_options
def cine(series: str, output: str, options: CineOptions, source: SeriesOptions, cache: CacheOptions) -> None:
    """Draw the frames of a series one after the other, as a moving picture.

    OUTPUT is a file or storage URL that ends in .webp, .avif, .gif, or, where ffmpeg is installed, .mp4.
    """
    from dsp_batch.cli.single import preview

    preview(series, output, options, source, cache)


@program.command("build-index")
@click.argument("series", nargs=-1, required=True, metavar="SERIES...")
@click.option(
    "-o", "--output", metavar="DIR|FILE.parquet", help="Write DIR/indices/UUID_index.parquet, or FILE.parquet."
)
@index_options
@series_options
@cache_options
@log_options
def build_index(
    series: tuple[str, ...], output: str | None, options: IndexOptions, source: SeriesOptions, cache: CacheOptions
) -> int:
    """Index all header elements of one or more series as Parquet.

    Indices are written to the cache directory unless -o is given. Existing ones are replaced.
    """
    from dsp_batch.cli.single import choose_index_target, write_indices

    first, *others = series
    if output is None and len(others) == 1 and is_parquet(others[0]):
        _log.warning("build-index SERIES FILE is deprecated: write -o %s", others[0])
        series, output = (first,), others[0]
    return write_indices(series, choose_index_target(series, output, cache, source), options, source)


@program.command("get-index")
@click.argument("series")
@series_options
@cache_options
@log_options
def get_index(series: str, source: SeriesOptions, cache: CacheOptions) -> None:
    """Print the path or URL of the index of a series, and build it first if there is none."""
    from dsp_batch.cli.single import find_index

    # Bytes, because a path need not be text.
    click.echo(os.fsencode(find_index(series, source, cache)))


for _command in (view, header, headers, clear_index):
    program.add_command(_command)


def main() -> NoReturn:
    """Run `dicom-series-preview` and exit."""
    run_to_end(program, NAME)
