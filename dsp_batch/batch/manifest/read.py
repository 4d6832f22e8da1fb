"""Reads the series of a batch, once, from any of the forms of manifests that users of IDC hold."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator

from dsp_batch.batch.manifest.entries import DuplicateLine, Entry, Surroundings
from dsp_batch.batch.manifest.lookup import Lookup, default_lookup, resolve_lines, with_objects
from dsp_batch.batch.manifest.rejected import SHOWN_LINES, RejectedLine, reject
from dsp_batch.batch.manifest.source import Source, find_manifest_folders, label_source, parse_source
from dsp_batch.batch.manifest.table import Manifest, ManifestBuilder
from dsp_batch.errors import ManifestError, OptionsError
from dsp_batch.model.series import SeriesRef
from dsp_batch.storage.aws import resolve_endpoint
from dsp_batch.storage.public_buckets import DEFAULT_ROOT, is_idc_root
from dsp_batch.storage.urls import normalise_root

_log = logging.getLogger(__name__)

_SURROGATE = re.compile("[\ud800-\udfff]")
"""What stands in the name of a folder for bytes that are no UTF-8."""


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
    rejected, label, held = 0, label_source(source), list[RejectedLine]()
    try:
        for entry in read_entries(source, root, endpoint_url, with_objects(default_lookup(endpoint_url)), label):
            if isinstance(entry, SeriesRef):
                while held:
                    _log.warning("%s", held.pop(0))
                yield entry
            elif isinstance(entry, RejectedLine):
                rejected += 1
                held += [entry] if rejected <= SHOWN_LINES else []
    except ManifestError as error:
        held = [each for each in held if str(each) not in error.message]  # the error tells of the first one itself
        raise
    finally:
        for each in held:
            _log.warning("%s", each)
    if rejected > SHOWN_LINES:
        _log.warning("%s: %d more lines name no series", label, rejected - SHOWN_LINES)


def read_manifest_table(
    source: Source, *, root: str, endpoint_url: str | None = None, lookup: Lookup, label: str | None = None
) -> Manifest:
    """Read a manifest, once, into a table.

    Args:
        source: As in `read_manifest`, which also raises the same errors.
        root: Where to look for series that do not name their own root.
        endpoint_url: S3-compatible server given by hand.
        lookup: Where names without a root are looked up.
        label: Name of the manifest in messages; None for the source itself.
    """
    label = label or label_source(source)
    builder = ManifestBuilder(label)
    for entry in read_entries(source, root, endpoint_url, lookup, label):
        builder.add(entry)
    return builder.finish()


def read_entries(source: Source, root: str, endpoint_url: str | None, lookup: Lookup, label: str) -> Iterator[Entry]:
    """Stream the lines of a manifest, each as a series, a duplicate, or a line that is not understood.

    Arguments and errors are those of `read_manifest_table`.
    """
    server = resolve_endpoint(endpoint_url)
    root = normalise_root(root, server)
    surroundings = Surroundings(
        source=label,
        root=root,
        folders=find_manifest_folders(source, root),
        server=server,
        server_is_given=server is not None,
        root_is_certain=lookup.index is None or not is_idc_root(root),
        keeps_to_root=lookup.keeps_to_root,
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
        try:
            surroundings.check_place(line.url)
        except OptionsError as error:
            yield reject(line.line or 0, line.url, surroundings.source, error.message)
            continue
        key = bytes.fromhex(line.series_uuid.replace("-", ""))
        if key in seen:
            yield DuplicateLine(line=line.line or 0, series_uuid=line.series_uuid)
        elif line.folder is None and not line.url.isascii() and _SURROGATE.search(line.url):
            yield reject(line.line or 0, line.url, surroundings.source, "its name is no UTF-8: rename the folder")
        else:
            yield line
        seen.add(key)
