"""Reads the series of a batch, once, from any of the forms of manifests that users of IDC hold."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from dsp_batch.batch.manifest.keys import digest_series, series_key
from dsp_batch.batch.manifest.places import Lookup, default_lookup, resolve_lines
from dsp_batch.batch.manifest.rejected import SHOWN_LINES, RejectedLine, RejectedLinesBuilder
from dsp_batch.batch.manifest.rows import Surroundings, reject
from dsp_batch.batch.manifest.source import Source, label_source, parse_source
from dsp_batch.batch.manifest.table import Manifest, TableBuilder
from dsp_batch.errors import ManifestError
from dsp_batch.model.series import SeriesRef
from dsp_batch.storage.aws import resolve_endpoint
from dsp_batch.storage.public_buckets import DEFAULT_ROOT, is_idc_root
from dsp_batch.storage.urls import normalise_root

_log = logging.getLogger(__name__)

_SURROGATE = re.compile("[\ud800-\udfff]")


class DuplicateLine(NamedTuple):
    """A line that names a series which an earlier line named."""

    line: int
    series_uuid: str


Entry = SeriesRef | RejectedLine | DuplicateLine
"""A line of a manifest, after all look-ups."""


def read_manifest(source: Source, *, root: str = DEFAULT_ROOT, endpoint_url: str | None = None) -> Iterator[SeriesRef]:
    """Stream the series of a manifest.

    Args:
        source: Local path or URL of a text, CSV, JSON or Parquet manifest, `-` for stdin, or a folder or bucket of
            series ending in `/`; or names of series (texts or `SeriesRef`), a `pyarrow.Table`, or a data frame of
            pandas or Polars with the columns of a CSV manifest.
        root: Where to look for series that do not name their own root.
        endpoint_url: S3-compatible server given by hand; wins over the one in the manifest's comments.

    Yields:
        Each series once, in the order of the manifest. Lines that name none are logged as warnings.

    Raises:
        ManifestError: The manifest cannot be read, or names no series at all.

    Example:
        >>> for series in read_manifest("manifest.s5cmd"):  # doctest: +SKIP
        ...     print(series.url)
    """
    rejected, label = 0, label_source(source)
    for entry in read_entries(source, root, endpoint_url, default_lookup(endpoint_url), label):
        if isinstance(entry, SeriesRef):
            yield entry
        elif isinstance(entry, RejectedLine):
            rejected += 1
            if rejected <= SHOWN_LINES:
                _log.warning("%s", entry)
    if rejected > SHOWN_LINES:
        _log.warning("%s: %d more lines name no series", label, rejected - SHOWN_LINES)


def read_manifest_table(
    source: Source, *, root: str, endpoint_url: str | None = None, lookup: Lookup, label: str | None = None
) -> Manifest:
    """Read a manifest, once, into a table.

    Args:
        source: As in `read_manifest`.
        root: As in `read_manifest`.
        endpoint_url: As in `read_manifest`.
        lookup: Where names without a root are looked up.
        label: Name of the manifest in messages; None for the source itself.

    Raises:
        ManifestError: As in `read_manifest`.
    """
    label = label or label_source(source)
    builder, rejected, duplicates = TableBuilder(), RejectedLinesBuilder(label), 0
    for entry in read_entries(source, root, endpoint_url, lookup, label):
        if isinstance(entry, SeriesRef):
            builder.add(entry)
        elif isinstance(entry, RejectedLine):
            rejected.add(entry)
        else:
            duplicates += 1
    table, columns = builder.finish()
    manifest = Manifest(table=table, columns=columns, rejected=rejected.finish(), duplicates=duplicates, digest="")
    return replace(manifest, digest=digest_series(manifest.series()))


def read_entries(source: Source, root: str, endpoint_url: str | None, lookup: Lookup, label: str) -> Iterator[Entry]:
    """Stream the lines of a manifest, each as a series, a duplicate, or a line that is not understood.

    The arguments are those of `read_manifest_table`.

    Raises:
        ManifestError: As in `read_manifest`.
    """
    server = resolve_endpoint(endpoint_url)
    root = normalise_root(root, server)
    surroundings = Surroundings(
        source=label,
        root=root,
        server=server,
        server_is_given=server is not None,
        root_is_certain=lookup.index is None or not is_idc_root(root),
    )
    found, first_reject = False, None
    lines = resolve_lines(parse_source(source, surroundings, lookup), surroundings, lookup)
    for entry in _mark_duplicates(lines, surroundings):
        if not found:
            found = isinstance(entry, SeriesRef)
            first_reject = first_reject or (entry if isinstance(entry, RejectedLine) else None)
        yield entry
    if not found:
        raise ManifestError(f"no line names a series; {first_reject}" if first_reject else f"{label} names no series")


def _mark_duplicates(lines: Iterable[SeriesRef | RejectedLine], surroundings: Surroundings) -> Iterator[Entry]:
    """Put a `DuplicateLine` in the place of each series that was there before."""
    seen = set[bytes]()
    for line in lines:
        if isinstance(line, RejectedLine):
            yield line
            continue
        name, url = series_key(line)
        if name not in seen:
            yield _refuse_odd_name(line, surroundings)
        elif url is not None and url not in seen:
            yield _refuse_second_place(line, surroundings)
        else:
            yield DuplicateLine(line=line.line or 0, series_uuid=line.series_uuid)
        seen.update((name,) if url is None else (name, url))


def _refuse_odd_name(ref: SeriesRef, surroundings: Surroundings) -> SeriesRef | RejectedLine:
    """Turn a folder down whose name is no UTF-8: neither tasks nor results can tell of it.

    Its name comes with lone surrogates in the place of bytes.
    """
    if ref.folder is not None or ref.url.isascii() or not _SURROGATE.search(ref.url):
        return ref
    return reject(ref.line or 0, ref.url, surroundings, "its name is no UTF-8: rename the folder")


def _refuse_second_place(ref: SeriesRef, surroundings: Surroundings) -> RejectedLine:
    """Turn a second series of the same name down: it would take the place of the first in the cache and in results."""
    reason = (
        f"a series folder {ref.series_uuid!r} came before from another place; results go by the folder's name: "
        f"put {ref.url} into a manifest and a cache directory of its own"
    )
    return reject(ref.line or 0, ref.url, surroundings, reason)
