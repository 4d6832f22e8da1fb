"""Manifests: the series of a batch, streamed from any of the forms that users of IDC hold."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from dsp_batch.batch.manifest_keys import SeenKeys, digest_series, is_global_name, name_key, place_key
from dsp_batch.batch.manifest_lookup import BATCH_LINES, Lookup, default_lookup, resolve_lines
from dsp_batch.batch.manifest_source import hold_manifest, is_folder, name_folders, name_manifest, open_manifest
from dsp_batch.batch.manifest_text import NamedLine, RejectedLine, Surroundings
from dsp_batch.errors import ManifestError
from dsp_batch.model import SeriesRef
from dsp_batch.naming import DEFAULT_ROOT, place_root
from dsp_batch.storage.aws import resolve_endpoint
from dsp_batch.storage.roots import normalise_root

__all__ = [
    "DuplicateLine",
    "Entry",
    "RejectedLine",
    "digest_series",
    "hold_manifest",
    "list_lines",
    "read_entries",
    "read_manifest",
]

_log = logging.getLogger(__name__)

_SHOWN_REJECTS = 20
_AWS_ENDPOINT = "https://s3.amazonaws.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateLine:
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
            if rejected <= _SHOWN_REJECTS:
                _log.warning("%s", entry)
    if rejected > _SHOWN_REJECTS:
        _log.warning("%s: %d more lines name no series", source, rejected - _SHOWN_REJECTS)


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
    lookup = lookup or default_lookup(endpoint_url)
    override = resolve_endpoint(endpoint_url)
    surroundings = Surroundings(root=place_root(normalise_root(root), override), override=override)
    found = 0
    first_reject: RejectedLine | None = None
    for entry in _mark_duplicates(
        resolve_lines(_name_source(source, label, surroundings, lookup), label, lookup), label
    ):
        found += isinstance(entry, SeriesRef)
        if first_reject is None and isinstance(entry, RejectedLine):
            first_reject = entry
        yield entry
    if not found:
        raise ManifestError(f"no line names a series; {first_reject}" if first_reject else f"{label} names no series")


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


def _name_source(
    source: str, label: str, surroundings: Surroundings, lookup: Lookup
) -> Iterator[NamedLine | RejectedLine]:
    if is_folder(source):
        root = place_root(normalise_root(source), surroundings.override)
        yield from name_folders(root, lookup.store_of(root, None))
        return
    with open_manifest(source, surroundings.override) as stream:
        yield from name_manifest(stream, label, surroundings)


def _mark_duplicates(entries: Iterable[SeriesRef | RejectedLine], label: str) -> Iterator[Entry]:
    """Put a `DuplicateLine` in the place of each series that was there before."""
    names, places = SeenKeys(), SeenKeys()
    stream = iter(entries)
    while batch := list(islice(stream, BATCH_LINES)):
        refs = [entry for entry in batch if isinstance(entry, SeriesRef)]
        own = [ref for ref in refs if not is_global_name(ref.series_uuid)]
        fresh = iter(names.add([name_key(ref) for ref in refs]).tolist())
        fresh_places = iter(places.add([place_key(ref) for ref in own]).tolist())
        for entry in batch:
            if isinstance(entry, RejectedLine):
                yield entry
                continue
            is_new, is_new_place = next(fresh), not is_global_name(entry.series_uuid) and next(fresh_places)
            if is_new:
                yield entry
            elif is_new_place:
                reason = (
                    f"another series folder {entry.series_uuid!r} came before; results go by the name of the folder, "
                    f"so that {entry.url} needs a run of its own"
                )
                yield RejectedLine(source=label, line=entry.line or 0, text=entry.url, reason=reason)
            else:
                yield DuplicateLine(line=entry.line or 0, series_uuid=entry.series_uuid)
