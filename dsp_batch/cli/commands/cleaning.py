"""`clear-index` and `dsp-batch clean`: remove what the programs keep in a cache, after telling what and asking."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import click

from dsp_batch.cli.options import SourceOptions, endpoint_option, log_options, source_options
from dsp_batch.cli.program import EXIT_ERROR
from dsp_batch.cli.tables import print_line, print_table

# ruff: noqa: PLC0415  # whatever a command needs is imported when it runs, so that --help is quick

_log = logging.getLogger(__name__)

_dry_run_option = click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
_yes_option = click.option("-y", "--yes", is_flag=True, help="Remove without asking.")


@click.command("clear-index")
@click.argument("series", nargs=-1, metavar="[SERIES]...")
@click.option("--all", "everything", is_flag=True, help="Remove the indices of all series.")
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="Remove only indices that were written so many days ago or earlier; without SERIES, of all series.",
)
@click.option(
    "--cache-dir",
    "directory",
    metavar="DIR",
    help="Folder or storage URL that holds the indices.  "
    "[default: DICOM_SERIES_PREVIEW_CACHE_DIR, else the platform's cache folder]",
)
@_dry_run_option
@_yes_option
@source_options
@log_options
def clear_index(  # noqa: PLR0913  # options of the command line
    series: tuple[str, ...],
    *,
    everything: bool,
    older_than: float | None,
    directory: str | None,
    source: SourceOptions,
    dry_run: bool,
    yes: bool,
) -> int:
    """Remove indices from the cache: of the series that are named, or of all.

    It tells how many indices it will remove and how large they are, and asks. A prefix such as 38902e14* means every
    series whose UUID begins so. Only files that these programs wrote are removed.
    """
    from dsp_batch.batch.clean import find_indices
    from dsp_batch.cache import open_cache

    if everything and series:
        raise click.UsageError("give either SERIES or --all")
    if not (everything or series or older_than is not None):
        raise click.UsageError("give SERIES, --all or --older-than")
    wanted = [_match_series(text, source) for text in series]

    def is_meant(uuid: str) -> bool:
        return not wanted or any(matches(uuid) for matches in wanted)

    cache = open_cache(directory, source.endpoint_url)
    found = find_indices(cache, is_meant, older_than)
    return _remove_when_told(cache, [found], dry_run=dry_run, yes=yes)


@click.command()
@click.argument("directory", metavar="CACHE_DIR")
@click.option("--runs", is_flag=True, help="Remove the records of all runs: manifests, results and summaries.")
@click.option(
    "--previews",
    "names",
    multiple=True,
    metavar="NAME",
    help="Remove the previews of this name, such as mosaic, and what tells how they were made; repeatable.",
)
@click.option("--indices", is_flag=True, help="Remove the indices of all series.")
@_dry_run_option
@_yes_option
@endpoint_option
@log_options
def clean(  # noqa: PLR0913  # options of the command line
    directory: str,
    *,
    runs: bool,
    names: tuple[str, ...],
    indices: bool,
    endpoint_url: str | None,
    dry_run: bool,
    yes: bool,
) -> int:
    """Remove runs, previews or indices from a cache directory.

    It tells how many files it will remove and how large they are, and asks. Only files that these programs wrote are
    removed. A run that goes on in the cache should end first.
    """
    from dsp_batch.batch.clean import find_indices, find_previews, find_runs, list_previews
    from dsp_batch.cache import open_cache

    if not (runs or names or indices):
        raise click.UsageError("say what to remove: --runs, --previews NAME, --indices")
    cache = open_cache(directory, endpoint_url)
    if flag := next((name for name in names if name.startswith("-")), None):
        there = ", ".join(list_previews(cache)) or "none"
        raise click.UsageError(f"--previews needs the name of previews before {flag}: there are {there} in {cache.url}")
    found = [find_previews(cache, name) for name in dict.fromkeys(names)]
    found += [find_runs(cache)] if runs else []
    found += [find_indices(cache)] if indices else []
    return _remove_when_told(cache, found, dry_run=dry_run, yes=yes)


def _match_series(text: str, source: SourceOptions) -> Callable[[str], bool]:
    """Make a function that tells whether the UUID of a series is what a user named.

    Nothing is listed or read for a UUID, a prefix, or the URL or path of a folder that is named by a UUID.
    """
    from dsp_batch.idc.index import find_series_uids, open_idc_index
    from dsp_batch.model.identifiers import build_series_uuid, normalise_uuid
    from dsp_batch.names import find_local, parse_series
    from dsp_batch.pipeline import find_series

    name = find_local(text) or parse_series(text, source.root)
    if name.kind == "prefix":
        return lambda uuid: uuid.startswith(name.name)
    uuids = {normalise_uuid(name.name)} if name.kind == "folder" else set()
    if name.kind == "uid":
        known = find_series_uids(index, [name.name])[0] if (index := open_idc_index()) else None
        uuids = {build_series_uuid(name.name), known and known.series_uuid}
    if name.kind in ("tree", "object"):
        found = find_series(text, root=source.root, endpoint_url=source.endpoint_url, anonymous=source.anonymous)
        uuids = {found.series_uuid}
    return lambda uuid: uuid in uuids


def _remove_when_told(cache: Any, found: list[Any], *, dry_run: bool, yes: bool) -> int:
    """Tell what would be removed, ask where somebody can be asked, and remove it.

    Returns:
        The exit status: 1 where nothing was removed though something was to be.
    """
    from dsp_batch.batch.clean import remove

    count = sum(len(each.keys) for each in found)
    if not count:
        print_line(f"nothing to remove in {cache.url}")
        return 0
    print_table(("what", "files", "bytes"), [(each.what, len(each.keys), each.size) for each in found])
    if dry_run:
        return 0
    if not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            _log.error("nothing is removed, because there is no terminal to ask on: give --yes")
            return EXIT_ERROR
        if not click.confirm(f"Remove {_count_files(count)} from {cache.url}?", err=True):
            _log.error("nothing is removed")
            return EXIT_ERROR
    remove(cache, found)
    print_line(f"removed {_count_files(count)} from {cache.url}")
    return 0


def _count_files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"
