"""The gallery: a static page over what a batch left in its cache, for ten series or a million."""

from __future__ import annotations

import hashlib
import json
import os
import webbrowser
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from html import escape
from typing import Any

from dsp_batch.batch.runs.newest import NamedRun, RunRows, fold_newest, list_named_runs, list_result_parts
from dsp_batch.cache import Cache, open_cache
from dsp_batch.storage.urls import normalise_root, parse_location
from dsp_batch.version import __version__
from dsp_batch.web.atlas import MOST_BY_DEFAULT, write_atlases
from dsp_batch.web.data import write_data
from dsp_batch.web.fields import is_personal, plain_name, unify_columns
from dsp_batch.web.files import Files
from dsp_batch.web.page import write_page
from dsp_batch.web.pictures import copy_pictures, locate_cache
from dsp_batch.web.product import Products, choose_runs, describe_command
from dsp_batch.web.rows import compact_rows
from dsp_batch.web.table import GalleryTable

_NEVER_SHOWN = ("worker", "attempt")
"""Columns about the machines of a run, which a public page need not name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryOptions:
    """What a gallery shows, and where it is written."""

    output: str | None = None
    """Folder or URL; None for `gallery` in the cache directory."""

    name: str | None = None
    """Name of the previews to show; None for those of `preview` where there are any, else of the newest run."""

    title: str | None = None
    """Title of the page; None for the name of the cache directory."""

    run: str | None = None
    """The only run to show."""

    columns: tuple[str, ...] = ()
    """Further columns to filter by."""

    hidden: tuple[str, ...] = ()
    """Columns to leave out of all files."""

    copies: bool = False
    """Copy the previews beside the page, rather than link them."""

    atlas: bool | None = None
    """Make thumbnails for the overview; None to make them for up to 50,000 series."""

    served: bool = False
    """True where the viewer serves the page: with the cache one folder above it, and itself two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """A gallery that has been written."""

    url: str
    """Path or URL of its `index.html`."""

    series: int
    """Series that it shows."""

    pictures: int
    """Series among them that have a picture."""

    live: bool
    """A run that it shows had not ended."""

    @property
    def address(self) -> str:
        """Its URL for a browser: `file://` where it lies on disk."""
        path = parse_location(self.url).path
        return self.url if path is None else path.as_uri()

    def _repr_html_(self) -> str:
        """Show a link in a notebook."""
        return f'<a href="{escape(self.address)}" target="_blank">Gallery of {self.series} series</a>'


def write_gallery(cache: Cache, options: GalleryOptions) -> Gallery:
    """Write the gallery of a cache directory, replacing an older one.

    Args:
        cache: The cache directory.
        options: What to show, and where to write it.

    Raises:
        ManifestError: The cache holds no such run.
        OptionsError: A page at that place could not show the pictures.
        StorageError: The cache cannot be read.
        SinkError: The page cannot be written.
    """
    runs = choose_runs(cache, options.name, options.run)
    products = Products(cache, list_named_runs(cache), runs[0].name)
    wanted = partial(_is_wanted, hidden=frozenset(map(plain_name, (*_NEVER_SHOWN, *options.hidden))))
    table = fold_newest(cache, runs, wanted, partial(_gather, options=options, products=products))
    try:
        return _write(cache, options, runs, table)
    finally:
        table.close()


def open_gallery(cache: Cache | str | os.PathLike[str], options: GalleryOptions | None = None) -> Gallery:
    """Write the gallery of a cache directory and open it in a browser.

    Args:
        cache: The cache directory, or its path or URL.
        options: What to show, and where to write it; None for all defaults.

    Returns:
        The gallery. A notebook shows a link to it.

    Raises:
        DspBatchError: As in `write_gallery`.
    """
    opened = cache if isinstance(cache, Cache) else open_cache(cache)
    gallery = write_gallery(opened, options or GalleryOptions())
    webbrowser.open(gallery.address)
    return gallery


def stamp_gallery(cache: Cache, options: GalleryOptions) -> str:
    """Digest what a gallery would be made from: it changes when a run has written further rows."""
    runs = choose_runs(cache, options.name, options.run)
    inputs = [__version__, asdict(options), [(run.run, run.ended) for run in runs], list_result_parts(cache, runs)]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]


def _is_wanted(column: str, hidden: frozenset[str]) -> bool:
    return not (plain_name(column) in hidden or is_personal(column))


def _gather(parts: Iterator[RunRows], options: GalleryOptions, products: Products) -> GalleryTable:
    table = GalleryTable(options.columns)
    hidden = frozenset(map(plain_name, options.hidden))
    for run, columns in parts:
        unified = unify_columns(columns, hidden)
        unified["products"] = products.tell(unified["series_uuid"])
        unified["run"] = [run.run] * len(unified["series_uuid"])
        table.extend(compact_rows(unified))
    return table


def _write(cache: Cache, options: GalleryOptions, runs: Sequence[NamedRun], table: GalleryTable) -> Gallery:
    output = normalise_root(options.output or cache.url_of("gallery"))
    files = Files(output=output, endpoint_url=cache.endpoint_url, stamp=stamp_gallery(cache, options))
    order = table.sort()
    address = "./" if options.copies else "../" if options.served else locate_cache(cache, output)
    if options.copies:
        copy_pictures(cache, table, order, files)
    with_atlas = len(table) <= MOST_BY_DEFAULT if options.atlas is None else options.atlas
    atlases = write_atlases(cache, table, order, files) if with_atlas else []
    live = not all(run.ended for run in runs)
    facts: dict[str, Any] = {
        "id": hashlib.sha256(f"{cache.url} {runs[0].name}".encode()).hexdigest()[:16],
        "title": options.title or cache.url.rstrip("/").rpartition("/")[2],
        "name": runs[0].name,
        "program": __version__,
        "pictures": address,
        "live": live,
        "viewer": "../../" if options.served else None,
        "atlases": atlases,
        "runs": {run.run: describe_command(run) for run in runs},
        "facets": list(options.columns),
    }
    pictures = write_data(table, order, facts, files)
    write_page(facts, files)
    files.delete_others()
    url = f"{output}/index.html"
    return Gallery(url=url, series=len(table), pictures=pictures, live=live)
