"""Manifests: the series of a batch, streamed from any of the forms that users of IDC hold."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, compress
from operator import itemgetter
from typing import Any, NamedTuple

from dsp_batch.batch.manifest.keys import SeenKeys, digest_series, name_keys, place_keys
from dsp_batch.batch.manifest.places import Lookup, default_lookup, resolve_lines
from dsp_batch.batch.manifest.rows import Reading, Surroundings, reject
from dsp_batch.batch.manifest.source import (
    STDIN,
    hold_manifest,
    is_folder,
    name_folders,
    name_manifest,
    open_manifest,
)
from dsp_batch.batch.manifest.table import Manifest, RejectedLine, RejectedLinesBuilder, TableBuilder
from dsp_batch.errors import ManifestError
from dsp_batch.model.series import SeriesRef
from dsp_batch.names import DEFAULT_ROOT
from dsp_batch.storage.aws import resolve_endpoint
from dsp_batch.storage.public_buckets import is_idc_root, place_root
from dsp_batch.storage.urls import normalise_root

__all__ = [
    "DuplicateLine",
    "Entry",
    "RejectedLine",
    "digest_series",
    "hold_manifest",
    "list_lines",
    "read_entries",
    "read_manifest",
    "read_manifest_table",
]

_log = logging.getLogger(__name__)

SHOWN_REJECTS = 20
"""Rejected lines that are shown one by one."""

_ROOT = itemgetter(0)
_SURROGATE = re.compile("[\ud800-\udfff]")
_AWS_ENDPOINT = "https://s3.amazonaws.com"


class DuplicateLine(NamedTuple):
    """A line that names a series which an earlier line named."""

    line: int
    series_uuid: str


Entry = SeriesRef | RejectedLine | DuplicateLine
"""What a line of a manifest comes to."""


def read_manifest(source: str, *, root: str = DEFAULT_ROOT, endpoint_url: str | None = None) -> Iterator[SeriesRef]:
    """Stream the series of a manifest.

    Args:
        source: Local path or URL of a text, CSV, JSON or Parquet manifest, `-` for stdin, or a folder or bucket of
            series ending in `/`.
        root: Where series are that the manifest gives no place for.
        endpoint_url: S3-compatible server given by hand; wins over the one in the manifest's comments.

    Yields:
        Each series once, in the order of the manifest. Lines that name none are logged as warnings.

    Raises:
        ManifestError: The manifest cannot be read, or names no series at all.

    Example:
        >>> for series in read_manifest("manifest.s5cmd"):  # doctest: +SKIP
        ...     print(series.url)
    """
    rejected = 0
    for entry in read_entries(source, root=root, endpoint_url=endpoint_url):
        if isinstance(entry, SeriesRef):
            yield entry
        elif isinstance(entry, RejectedLine):
            rejected += 1
            if rejected <= SHOWN_REJECTS:
                _log.warning("%s", entry)
    if rejected > SHOWN_REJECTS:
        _log.warning("%s: %d more lines name no series", source, rejected - SHOWN_REJECTS)


def read_entries(
    source: str,
    *,
    root: str = DEFAULT_ROOT,
    endpoint_url: str | None = None,
    lookup: Lookup | None = None,
    label: str | None = None,
) -> Iterator[Entry]:
    """Stream what each line of a manifest comes to: a series, a duplicate, or nothing that is understood.

    Args:
        source: As in `read_manifest`.
        root: As in `read_manifest`.
        endpoint_url: As in `read_manifest`.
        lookup: Where names without a place are looked up; None for the installed IDC index and the process's stores.
        label: Name of the manifest in messages; None for the source itself.

    Raises:
        ManifestError: As in `read_manifest`.
    """
    label = label or ("stdin" if source == "-" else source)
    return chain.from_iterable(_read_together(source, root, endpoint_url, lookup, label))


def _read_together(
    source: str, root: str, endpoint_url: str | None, lookup: Lookup | None, label: str
) -> Iterator[list[Entry]]:
    """What some thousand lines after the others come to."""
    lookup = lookup or default_lookup(endpoint_url)
    override = resolve_endpoint(endpoint_url)
    root = place_root(normalise_root(root), override)
    is_certain = lookup.index is None or not is_idc_root(root)
    surroundings = Surroundings(
        source=label,
        root=root,
        server=override,
        server_is_given=override is not None,
        root_is_certain=is_certain,
        warns=lookup.warns,
    )
    found = False
    first_reject: RejectedLine | None = None
    batches = resolve_lines(_read_source(source, surroundings, lookup), surroundings, lookup)
    for batch in _mark_duplicates(batches, surroundings):
        found = found or any(isinstance(entry, SeriesRef) for entry in batch)
        if not found and first_reject is None:
            first_reject = next((entry for entry in batch if isinstance(entry, RejectedLine)), None)
        yield batch
    if not found:
        raise ManifestError(f"no line names a series; {first_reject}" if first_reject else f"{label} names no series")


Source = str | os.PathLike[str] | Iterable[str | SeriesRef] | Any
"""What a manifest is read from: a path, a URL, `-` for stdin, names of series, or a table."""


def read_manifest_table(
    source: Source, *, root: str, endpoint_url: str | None = None, lookup: Lookup, label: str | None = None
) -> Manifest:
    """Read a manifest, once, into a table.

    Args:
        source: As in `read_manifest`; or names of series (texts or `SeriesRef`), a `pyarrow.Table`, or a data frame of
            pandas or Polars with the columns of a CSV manifest.
        root: As in `read_manifest`.
        endpoint_url: As in `read_manifest`.
        lookup: Where names without a place are looked up.
        label: Name of the manifest in messages; None for the source itself.

    Raises:
        ManifestError: As in `read_manifest`.
    """
    if not isinstance(source, str | os.PathLike):
        raise NotImplementedError("sources that are no paths")
    path = os.fspath(source)
    label = label or ("stdin" if path == STDIN else path)
    table, rejected, duplicates = TableBuilder(), RejectedLinesBuilder(label), 0
    for entries in _read_together(path, root, endpoint_url, lookup, label):
        refs = [entry for entry in entries if isinstance(entry, SeriesRef)]
        lines = [entry for entry in entries if isinstance(entry, RejectedLine)]
        duplicates += len(entries) - len(refs) - len(lines)
        table.add(refs)
        rejected.add(lines)
    rows, columns = table.finish()
    manifest = Manifest(table=rows, columns=columns, rejected=rejected.finish(), duplicates=duplicates, digest="")
    return replace(manifest, digest=digest_series(manifest.series()))


def list_lines(refs: Iterable[SeriesRef]) -> Iterator[str]:
    """Lines, without their ends, of a manifest that names these series: s5cmd commands for S3, else URLs or paths."""
    endpoint_url: str | None = None
    for ref in refs:
        if ref.endpoint_url != endpoint_url:
            endpoint_url = ref.endpoint_url
            yield f"# s5cmd --no-sign-request --endpoint-url {endpoint_url or _AWS_ENDPOINT} run <this file>"
        if ref.root.startswith("s3://") and " " not in ref.url:
            yield f"cp {ref.url}/* ."
        else:
            yield f'"{ref.url}/"' if any(sign in ref.url for sign in ",;\t") else f"{ref.url}/"


def _read_source(source: str, surroundings: Surroundings, lookup: Lookup) -> Iterator[list[Reading]]:
    if is_folder(source):
        root = place_root(normalise_root(source), surroundings.server)
        yield from name_folders(root, lookup.store_of(root, None))
        return
    with open_manifest(source, surroundings.server) as stream:
        yield from name_manifest(stream, surroundings)


def _mark_duplicates(
    batches: Iterable[list[SeriesRef | RejectedLine]], surroundings: Surroundings
) -> Iterator[list[Entry]]:
    """Put a `DuplicateLine` in the place of each series that was there before."""
    names, places = SeenKeys(), SeenKeys()
    for batch in batches:
        refs = [entry for entry in batch if type(entry) is SeriesRef]
        keys = name_keys([ref.series_uuid for ref in refs])
        is_new = names.add(keys.keys)
        elsewhere = {id(refs[at]) for at in compress(keys.local, places.add(place_keys(refs, keys.local)))}
        is_odd = not all(map(_is_utf8, {*map(_ROOT, refs), *(refs[at].series_uuid for at in keys.local)}))
        if not refs or (len(refs) == len(batch) and is_new.all() and not is_odd):
            yield list[Entry](batch)
        else:
            fresh = {id(ref) for ref in compress(refs, is_new)}
            yield [
                _refuse_odd_place(entry, surroundings)
                if isinstance(entry, RejectedLine) or id(entry) in fresh
                else _turn_down(entry, surroundings)
                if id(entry) in elsewhere
                else DuplicateLine(line=entry.line or 0, series_uuid=entry.series_uuid)
                for entry in batch
            ]


def _refuse_odd_place(entry: SeriesRef | RejectedLine, surroundings: Surroundings) -> SeriesRef | RejectedLine:
    """Turn a folder down whose name is no UTF-8: neither tasks nor results can tell of it."""
    if isinstance(entry, RejectedLine) or _is_utf8(entry.url):
        return entry
    return reject(entry.line or 0, entry.url, surroundings, "its name is no UTF-8: rename the folder")


def _is_utf8(text: str) -> bool:
    """Whether a text can be written: file names that are no UTF-8 come with lone surrogates in the place of bytes."""
    return text.isascii() or not _SURROGATE.search(text)


def _turn_down(ref: SeriesRef, surroundings: Surroundings) -> RejectedLine:
    """A second series of the same name would take the place of the first in the cache and in the results."""
    reason = (
        f"a series folder {ref.series_uuid!r} came before from another place; results go by the folder's name: "
        f"put {ref.url} into a manifest and a cache directory of its own"
    )
    return reject(ref.line or 0, ref.url, surroundings, reason)
