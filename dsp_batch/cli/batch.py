"""`dsp-batch`: the verbs on a manifest of series, as one run on Dask."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

import click

from dsp_batch.cli.commands.cleaning import clean
from dsp_batch.cli.commands.exporting import export_headers
from dsp_batch.cli.gallery import gallery
from dsp_batch.cli.options import RunSettings, cluster_options, log_options, run_options
from dsp_batch.cli.program import Program, run_to_end
from dsp_batch.cli.runs import demo, manifest, plan, retry, status
from dsp_batch.cli.verb_options import (
    cine_options,
    contrast_mosaic_options,
    image_options,
    index_options,
    mosaic_options,
    run_preview_options,
)
from dsp_batch.cli.view import view
from dsp_batch.options import (
    CineOptions,
    ClusterOptions,
    ContrastMosaicOptions,
    ImageOptions,
    IndexOptions,
    MosaicOptions,
    Options,
    PreviewOptions,
)
from dsp_batch.version import __version__

# ruff: noqa: PLC0415  # whatever a command needs is imported when it runs, so that --help is quick


NAME = "dsp-batch"


@click.group(
    cls=Program,
    epilog="MANIFEST is the path or URL of a text, s5cmd, CSV, JSON or Parquet manifest, - for standard input, or a "
    "folder or bucket of series that ends in /. Repeat a command to continue a run that was stopped. Exit status: 0 if "
    "every series is done, kept or skipped and no line was rejected, 1 otherwise, 130 interrupted.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def program() -> None:
    """Preview and index every series of a manifest, on this machine or on a Dask cluster."""


@program.command()
@click.argument("manifest")
@run_preview_options
@run_options
@cluster_options
@log_options
def preview(manifest: str, options: PreviewOptions, settings: RunSettings, cluster: ClusterOptions) -> int:
    """Draw one picture of each series, whatever it holds: a grid of frames, the only frame, or a card."""
    return _run(manifest, replace(options, describe=settings.describe), settings, cluster)


@program.command()
@click.argument("manifest")
@mosaic_options
@run_options
@cluster_options
@log_options
def mosaic(manifest: str, options: MosaicOptions, settings: RunSettings, cluster: ClusterOptions) -> int:
    """Draw a grid of frames spread evenly over each series, head first."""
    return _run(manifest, options, settings, cluster)


@program.command("get-image")
@click.argument("manifest")
@image_options
@run_options
@cluster_options
@log_options
def get_image(manifest: str, options: ImageOptions, settings: RunSettings, cluster: ClusterOptions) -> int:
    """Draw a single frame of each series, at a position along it."""
    return _run(manifest, options, settings, cluster)


@program.command("contrast-mosaic")
@click.argument("manifest")
@contrast_mosaic_options
@run_options
@cluster_options
@log_options
def contrast_mosaic(
    manifest: str, options: ContrastMosaicOptions, settings: RunSettings, cluster: ClusterOptions
) -> int:
    """Draw the same frames of each series under several contrasts, one column per contrast.

    Give --position for one row, or --start for several.
    """
    return _run(manifest, options, settings, cluster)


@program.command()
@click.argument("manifest")
@cine_options
@run_options
@cluster_options
@log_options
def cine(manifest: str, options: CineOptions, settings: RunSettings, cluster: ClusterOptions) -> int:
    """Draw the frames of each series one after the other, as an animated WebP image."""
    return _run(manifest, options, settings, cluster)


@program.command("build-index")
@click.argument("manifest")
@index_options
@run_options
@cluster_options
@log_options
def build_index(manifest: str, options: IndexOptions, settings: RunSettings, cluster: ClusterOptions) -> int:
    """Index all header elements of each series as Parquet."""
    return _run(manifest, options, settings, cluster)


for _command in (plan, status, retry, gallery, view, export_headers, clean, manifest, demo):
    program.add_command(_command)


def _run(manifest: str, options: Options, settings: RunSettings, cluster: ClusterOptions) -> int:
    from dsp_batch.batch.run import run_batch
    from dsp_batch.cache import open_cache
    from dsp_batch.cli.finish import finish
    from dsp_batch.cli.progress import open_progress

    source = settings.source
    return finish(
        lambda: run_batch(
            manifest,
            options,
            cache=open_cache(settings.directory, source.endpoint_url, settings.cache_control),
            name=settings.name,
            root=source.root,
            endpoint_url=source.endpoint_url,
            anonymous=source.anonymous,
            cluster=cluster,
            strict=settings.strict,
            only_below_root=settings.only_below_root,
            overwrite=settings.overwrite,
            describe=settings.describe,
            refresh=settings.refresh,
            timeout=settings.timeout,
            max_workers=source.max_workers,
            max_frame_bytes=source.max_frame_mb << 20,
            progress=open_progress(),
        ),
        settings.allowed,
    )


def main() -> NoReturn:
    """Run `dsp-batch` and exit."""
    run_to_end(program, NAME)
