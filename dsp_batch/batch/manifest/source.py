"""Opens a manifest and tells its form: a file, a URL, stdin, a folder of series, a list of names, or a table."""

from __future__ import annotations

import io
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from dsp_batch.batch.manifest.entries import Reading, Surroundings
from dsp_batch.batch.manifest.folders import Folders
from dsp_batch.batch.manifest.json_items import parse_json
from dsp_batch.batch.manifest.line import parse_line
from dsp_batch.batch.manifest.lookup import Lookup
from dsp_batch.batch.manifest.rejected import reject
from dsp_batch.batch.manifest.rows import parse_frame, parse_parquet
from dsp_batch.batch.manifest.text import parse_lines, read_lines
from dsp_batch.errors import ManifestError, StorageError
from dsp_batch.model.identifiers import normalise_uuid
from dsp_batch.model.series import SeriesRef
from dsp_batch.storage.urls import hide_secrets, local_path, normalise_root, parse_location

_log = logging.getLogger(__name__)

Source = str | os.PathLike[str] | Iterable[str | SeriesRef] | Any
"""What a manifest is read from: a path, a URL, `-` for stdin, names of series, or a table."""

STDIN = "-"

_HEAD_BYTES = 4_096

_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip or Excel", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2"}


def is_folder(source: str | os.PathLike[str]) -> bool:
    """Tell whether a source is a folder or bucket of series: a slash ends it, or it is a folder of this machine."""
    if isinstance(source, str) and source.endswith(("/", os.sep)):
        return True
    if source == STDIN:
        return False
    location = parse_location(source)
    return not location.parts if location.path is None else location.path.is_dir()


def is_table(source: Source) -> bool:
    """Tell whether a source is a table or data frame with named columns, rather than one column of names."""
    return hasattr(source, "__arrow_c_stream__") and len(getattr(source, "shape", (0, 0))) == 2


def label_source(source: Source) -> str:
    """Name a source in messages."""
    if isinstance(source, str | os.PathLike):
        return "stdin" if source == STDIN else hide_secrets(os.fspath(source))
    return "table" if is_table(source) else "list of series"


def parse_source(source: Source, surroundings: Surroundings, lookup: Lookup) -> Iterator[Reading]:
    """Read what each line, row, item or folder of a source comes to.

    Raises:
        ManifestError: The source does not exist, or cannot be read as a whole.
    """
    if is_table(source):
        yield from parse_frame(source, surroundings)
    elif not isinstance(source, str | os.PathLike):
        yield from _parse_names(source, surroundings)
    elif is_folder(source):
        yield from _scan_folder(source, surroundings, lookup)
    else:
        try:
            with _open_manifest(os.fspath(source), surroundings.server) as stream:
                yield from _parse_stream(stream, surroundings)
        except _MissingManifestError as missing:  # a folder of a bucket or server needs no slash
            yield from _scan_folder(source, surroundings, lookup, missing)


class _MissingManifestError(ManifestError):
    """There is no object of the name that was given for a manifest."""


def find_manifest_folders(source: Source, root: str) -> tuple[str, ...]:
    """Find the folders that relative paths of a manifest are looked for in: this one, its own, and a local root."""
    own: list[str] = []
    if isinstance(source, str | os.PathLike) and source != STDIN and (path := local_path(source)):
        own.append(str(path.parent))
    return (os.curdir, *own, *([root] if local_path(root) else []))


def _scan_folder(
    source: str | os.PathLike[str], surroundings: Surroundings, lookup: Lookup, missing: ManifestError | None = None
) -> Iterator[SeriesRef]:
    """Find the series below a folder; each has its number for a line.

    Args:
        source: The folder.
        surroundings: Those of the manifest.
        lookup: What scans folders.
        missing: The error of a source that is no manifest, and no folder where nothing is found below it.
    """
    unlisted: dict[str, StorageError] = {}
    number = 0
    folders = Folders(normalise_root(source, surroundings.server), None)
    for number, ref in enumerate(lookup.scan(folders, unlisted), 1):
        yield ref._replace(line=number)
    if missing and not number:
        raise missing
    for error in unlisted.values():
        raise error


def _parse_names(names: Iterable[Any], surroundings: Surroundings) -> Iterator[Reading]:
    """Read the names of series that a program gives."""
    for number, name in enumerate(names, 1):
        if isinstance(name, SeriesRef) and (name.folder is None or normalise_uuid(name.series_uuid)):
            yield name._replace(line=number)
        elif isinstance(name, SeriesRef):
            yield reject(number, name.url, surroundings.source, "its series_uuid is no UUID")
        elif isinstance(name, str):
            yield parse_line(number, name.strip(), surroundings)
        else:
            yield reject(number, name, surroundings.source, "a series is named by a text or a SeriesRef")


def _parse_stream(stream: IO[bytes], surroundings: Surroundings) -> Iterator[Reading]:
    """Read a file, in whatever form it is."""
    head = stream.read(4)
    stream.seek(0)
    if head == b"PAR1":
        return parse_parquet(stream, surroundings)
    for magic, kind in _PACKED.items():
        if head.startswith(magic):
            raise ManifestError(f"{surroundings.source} is packed ({kind}): unpack it first")
    is_utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    end = "\0" if not is_utf16 and _ends_in_nul(stream) else "\n"
    text = _Text(stream, "utf-16" if is_utf16 else "utf-8-sig", errors="replace")
    text.source = surroundings.source
    first = _first_character(text)
    if first == "<":
        raise ManifestError(f"{surroundings.source} is a page of HTML or XML, such as servers answer errors with")
    text.seek(0)
    if first in ("[", "{"):
        return parse_json(text, surroundings)
    return parse_lines(read_lines(text, surroundings.source, end), surroundings)


def _ends_in_nul(stream: IO[bytes]) -> bool:
    """Tell whether NULs end the names of a text, as `find -print0` writes them. In UTF-16 they part all letters."""
    head = stream.read(_HEAD_BYTES)
    stream.seek(-min(1, len(head)), os.SEEK_END)
    end = stream.read(1)
    stream.seek(0)
    return end == b"\0" and b"\0\0" not in head and re.search(rb"[^\0]{2}", head) is not None


class _Text(io.TextIOWrapper):
    """The text of a manifest. It warns once where not all of it is of the encoding that it should be."""

    source: str | None = None
    """Name of the manifest; None where the warning was given."""

    def read(self, size: int | None = -1) -> str:
        """Read as the parent class does."""
        piece = super().read(size)
        if self.source and "\ufffd" in piece:
            _log.warning("%s: not all of it is UTF-8: what is not is carried as \ufffd", self.source)
            self.source = None
        return piece


def _first_character(text: io.TextIOWrapper) -> str:
    while piece := text.read(_HEAD_BYTES):
        if piece := piece.lstrip():
            return piece[0]
    return ""


@contextmanager
def _open_manifest(source: str, endpoint_url: str | None) -> Iterator[IO[bytes]]:
    """Open a local path, a URL, or stdin for reading from any offset."""
    path = None if source == STDIN else local_path(source)
    try:
        with path.open("rb") if path else tempfile.TemporaryFile() as stream:
            if path is None:
                _copy_remote(source, endpoint_url, stream)
            yield stream
    except FileNotFoundError:
        raise ManifestError(f"{source}: no such manifest") from None
    except OSError as error:
        raise ManifestError(f"{source} cannot be read: {error.strerror or error}") from error


def _copy_remote(source: str, endpoint_url: str | None, copy: IO[bytes]) -> None:
    """Bring stdin or a URL into a file."""
    if source == STDIN:
        shutil.copyfileobj(sys.stdin.buffer, copy)
    else:
        from dsp_batch.storage.objects import read_whole  # noqa: PLC0415  # storage clients are slow to import

        data = read_whole(source, endpoint_url=endpoint_url)
        if data is None:
            raise _MissingManifestError(f"{source}: no such manifest, and no folder of series")
        copy.write(data)
    copy.seek(0)
