"""`dsp-batch gallery`: a static page over what a batch left in its cache."""

from __future__ import annotations

import logging
from typing import Any

import click

from dsp_batch.cli.options import endpoint_option, log_options
from dsp_batch.cli.tables import print_line

# ruff: noqa: PLC0415  # whatever a command needs is imported when it runs, so that --help is quick

_log = logging.getLogger(__name__)


@click.command()
@click.argument("directory", metavar="CACHE_DIR")
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    help="Folder or URL to write the page to.  [default: CACHE_DIR/gallery]",
)
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the previews to show.  [default: preview if there are any, else those of the newest run]",
)
@click.option("--title", metavar="TEXT", help="Title of the page.  [default: the name of the cache directory]")
@click.option("--run", metavar="RUN", help="Show one run only, by its name or the path of its folder.")
@click.option(
    "--columns",
    multiple=True,
    metavar="NAME",
    help="Further column of the results to filter by, such as one of the manifest; repeatable, or separated by commas.",
)
@click.option(
    "--hide",
    "hidden",
    multiple=True,
    metavar="COLUMN",
    help="Column to leave out of all files, such as patient_id; repeatable, or separated by commas.",
)
@click.option("--copy", "copies", is_flag=True, help="Copy the previews beside the page instead of linking them.")
@click.option(
    "--atlas/--no-atlas",
    default=None,
    help="Make the thumbnails of the overview, or do not. Every preview is read for them.  "
    "[default: make them for up to 50,000 series]",
)
@click.option("--watch", is_flag=True, help="Write the page again whenever a run adds rows, until all runs have ended.")
@endpoint_option
@log_options
def gallery(directory: str, endpoint_url: str | None, *, watch: bool, **settings: Any) -> None:
    """Write a web page that shows the previews of a cache, to filter, look through and select series.

    Open its index.html from disk, or put it on any web server or bucket. The page holds the columns of the results:
    patient IDs, dates and descriptions too, unless --hide leaves them out. It never holds names of persons.
    """
    from dsp_batch.cache import open_cache
    from dsp_batch.web.gallery import GalleryOptions, write_gallery
    from dsp_batch.web.watch import watch_gallery

    for name in ("columns", "hidden"):
        settings[name] = tuple(column.strip() for value in settings[name] for column in value.split(",") if column)
    cache, options = open_cache(directory, endpoint_url), GalleryOptions(**settings)
    for written in watch_gallery(cache, options) if watch else [write_gallery(cache, options)]:
        _log.info("%d series, %d with a picture", written.series, written.pictures)
        print_line(written.url)
