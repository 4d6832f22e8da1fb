"""Manifests: the series of a batch, streamed from any of the forms that users of IDC hold."""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import IO, Any, NamedTuple

from dsp_batch.batch.manifest.frames import name_frame, name_parquet
from dsp_batch.batch.manifest.items import name_json
from dsp_batch.batch.manifest.keys import digest_series, digest_text, is_global, name_key
from dsp_batch.batch.manifest.places import Lookup, default_lookup, resolve_lines
from dsp_batch.batch.manifest.rows import Reading, Surroundings, read_lines, reject
from dsp_batch.batch.manifest.source import STDIN, hold_manifest, is_folder, open_manifest
from dsp_batch.batch.manifest.table import Manifest, RejectedLine, RejectedLinesBuilder, TableBuilder
from dsp_batch.batch.manifest.text import name_line, name_lines
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

_SURROGATE = re.compile("[\ud800-\udfff]")
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip or Excel", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2"}
_AWS_ENDPOINT = "https://s3.amazonaws.com"


Source = str | os.PathLike[str] | Iterable[str | SeriesRef] | Any
"""What a manifest is read from: a path, a URL, `-` for stdin, names of series, or a table."""


class DuplicateLine(NamedTuple):
    """A line that names a series which an earlier line named."""

    line: int
    series_uuid: str


Entry = SeriesRef | RejectedLine | DuplicateLine
"""What a line of a manifest comes to."""


def read_manifest(source: Source, *, root: str = DEFAULT_ROOT, endpoint_url: str | None = None) -> Iterator[SeriesRef]:
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
    source: Source,
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
    return _read(source, root, endpoint_url, lookup or default_lookup(endpoint_url), label or _label(source))


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
    label = label or _label(source)
    table, rejected, duplicates = TableBuilder(), RejectedLinesBuilder(label), 0
    for entry in _read(source, root, endpoint_url, lookup, label):
        if isinstance(entry, SeriesRef):
            table.add(entry)
        elif isinstance(entry, RejectedLine):
            rejected.add(entry)
        else:
            duplicates += 1
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


def _label(source: Source) -> str:
    """Name of a manifest in messages."""
    if isinstance(source, str | os.PathLike):
        return "stdin" if source == STDIN else os.fspath(source)
    return "table" if hasattr(source, "__arrow_c_stream__") else "series list"


def _read(source: Source, root: str, endpoint_url: str | None, lookup: Lookup, label: str) -> Iterator[Entry]:
    """What each line comes to, in order."""
    override = resolve_endpoint(endpoint_url)
    root = place_root(normalise_root(root), override)
    surroundings = Surroundings(
        source=label,
        root=root,
        server=override,
        server_is_given=override is not None,
        root_is_certain=lookup.index is None or not is_idc_root(root),
        warns=lookup.warns,
    )
    found, first_reject = False, None
    resolved = resolve_lines(_read_source(source, surroundings, lookup), surroundings, lookup)
    for entry in _mark_duplicates(resolved, surroundings):
        if not found:
            found = isinstance(entry, SeriesRef)
            first_reject = first_reject or (entry if isinstance(entry, RejectedLine) else None)
        yield entry
    if not found:
        raise ManifestError(f"no line names a series; {first_reject}" if first_reject else f"{label} names no series")


def _read_source(source: Source, surroundings: Surroundings, lookup: Lookup) -> Iterator[Reading]:
    """Read the series that a source of any kind names."""
    if not isinstance(source, str | os.PathLike):
        is_table = hasattr(source, "__arrow_c_stream__")
        yield from name_frame(source, surroundings) if is_table else _name_items(source, surroundings)
        return
    path = os.fspath(source)
    if is_folder(source):
        root = place_root(normalise_root(path), surroundings.server)
        for number, folder in enumerate(lookup.store_of(root, None).list_series(""), 1):
            if not folder.startswith("."):
                yield SeriesRef(root, folder, line=number)
        return
    with open_manifest(path, surroundings.server) as stream:
        yield from _name_stream(stream, surroundings)


def _name_items(items: Iterable[str | SeriesRef], surroundings: Surroundings) -> Iterator[Reading]:
    """Read names of series that a program gives."""
    for number, item in enumerate(items, 1):
        if isinstance(item, SeriesRef):
            yield item if item.line is not None else item._replace(line=number)
        elif isinstance(item, str):
            yield name_line(number, item.strip(), surroundings)
        else:
            yield reject(number, item, surroundings, "an item is a text or a SeriesRef")


def _name_stream(stream: IO[bytes], surroundings: Surroundings) -> Iterator[Reading]:
    """Read the series that a file names, in whatever form it is.

    Raises:
        ManifestError: It is packed, binary, or a page of HTML, or its JSON or Parquet is damaged as a whole.
    """
    head = stream.read(4)
    stream.seek(0)
    if head == b"PAR1":
        return name_parquet(stream, surroundings)
    for magic, kind in _PACKED.items():
        if head.startswith(magic):
            raise ManifestError(f"{surroundings.source} is packed ({kind}): unpack it first")
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = _Text(stream, encoding, surroundings)
    first = _first_character(text)
    if first == "<":
        raise ManifestError(f"{surroundings.source} is a page of HTML or XML, such as servers answer errors with")
    text.seek(0)
    if first in ("[", "{"):
        return name_json(text, surroundings)
    return name_lines(read_lines(text, surroundings.source), surroundings)


class _Text(io.TextIOWrapper):
    """The text of a manifest; says once if not all of it is of the encoding that it should be."""

    def __init__(self, stream: IO[bytes], encoding: str, surroundings: Surroundings) -> None:
        super().__init__(stream, encoding=encoding, errors="replace")
        self._source = surroundings.source if surroundings.warns else None

    def read(self, size: int | None = -1) -> str:
        """As its parent."""
        piece = super().read(size)
        if self._source and "\ufffd" in piece:
            _log.warning("%s: not all of it is UTF-8: what is not is carried as \ufffd", self._source)
            self._source = None
        return piece


def _first_character(text: io.TextIOWrapper) -> str:
    while piece := text.read(4_096):
        if piece := piece.lstrip():
            return piece[0]
    return ""


def _mark_duplicates(entries: Iterable[SeriesRef | RejectedLine], surroundings: Surroundings) -> Iterator[Entry]:
    """Put a `DuplicateLine` in the place of each series that was there before."""
    names, urls = set[bytes](), set[bytes]()
    for entry in entries:
        if isinstance(entry, RejectedLine):
            yield entry
            continue
        key = name_key(entry.series_uuid)
        is_new = key not in names
        names.add(key)
        is_elsewhere = False
        if not is_global(entry.series_uuid):
            url = digest_text(entry.url)
            is_elsewhere = url not in urls
            urls.add(url)
        if is_new:
            yield entry if _is_utf8(entry.url) else _refuse_odd_name(entry, surroundings)
        elif is_elsewhere:
            yield _turn_down(entry, surroundings)
        else:
            yield DuplicateLine(line=entry.line or 0, series_uuid=entry.series_uuid)


def _is_utf8(text: str) -> bool:
    """Whether a text can be written: file names that are no UTF-8 come with lone surrogates in the place of bytes."""
    return text.isascii() or not _SURROGATE.search(text)


def _refuse_odd_name(ref: SeriesRef, surroundings: Surroundings) -> RejectedLine:
    """Turn a folder down whose name is no UTF-8: neither tasks nor results can tell of it."""
    return reject(ref.line or 0, ref.url, surroundings, "its name is no UTF-8: rename the folder")


def _turn_down(ref: SeriesRef, surroundings: Surroundings) -> RejectedLine:
    """A second series of the same name would take the place of the first in the cache and in the results."""
    reason = (
        f"a series folder {ref.series_uuid!r} came before from another place; results go by the folder's name: "
        f"put {ref.url} into a manifest and a cache directory of its own"
    )
    return reject(ref.line or 0, ref.url, surroundings, reason)
