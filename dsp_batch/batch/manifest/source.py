"""Where a manifest comes from and which form it has: a file, a URL, stdin, or a folder of series."""

from __future__ import annotations

import io
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO

from dsp_batch.batch.manifest.columns import name_parquet
from dsp_batch.batch.manifest.items import name_json
from dsp_batch.batch.manifest.records import PREAMBLE_ROWS, find_header, name_records
from dsp_batch.batch.manifest.rows import Reading, Surroundings, read_blocks
from dsp_batch.batch.manifest.text import drop_title, follow_comments, name_lines
from dsp_batch.errors import ManifestError
from dsp_batch.model.series import SeriesRef
from dsp_batch.names import SeriesListing
from dsp_batch.storage.urls import local_path

_log = logging.getLogger(__name__)

STDIN = "-"
_COMMENT_LINES = 1_000
"""Comments and blank lines that may come before a header row."""

_FOLDERS_AT_ONCE = 4_096

_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip or Excel", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2"}


def is_folder(source: str) -> bool:
    """Whether a source names a folder or bucket of series rather than a file: it ends in a slash."""
    return source.endswith(("/", os.sep))


@contextmanager
def hold_manifest(source: str, endpoint_url: str | None = None) -> Iterator[str]:
    """A path or URL of the manifest that can be read more than once: stdin and URLs are copied to a temporary file."""
    if is_folder(source) or (source != STDIN and local_path(source) is not None):
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="dsp-batch-") as folder:
        copy = Path(folder) / "manifest"
        with open_manifest(source, endpoint_url) as stream, copy.open("wb") as target:
            shutil.copyfileobj(stream, target)
        yield str(copy)


@contextmanager
def open_manifest(source: str, endpoint_url: str | None = None) -> Iterator[IO[bytes]]:
    """Open a manifest for reading from its first byte.

    Args:
        source: Local path, URL, or `-` for stdin.
        endpoint_url: S3-compatible server that an `s3://` URL is read from; None for the default.

    Raises:
        ManifestError: It does not exist, is a folder, or cannot be read.
    """
    path = None if source == STDIN else local_path(source)
    try:
        with path.open("rb") if path else _copy_remote(source, endpoint_url) as stream:
            yield stream
    except IsADirectoryError:
        raise ManifestError(f"{source} is a folder: write {source}/ for every series below it") from None
    except FileNotFoundError:
        raise ManifestError(f"{source}: no such manifest") from None
    except OSError as error:
        raise ManifestError(f"{source} cannot be read: {error.strerror or error}") from error


def name_manifest(stream: IO[bytes], surroundings: Surroundings) -> Iterator[list[Reading]]:
    """Read the series that a manifest names, in whatever form it is, some thousand lines at once.

    Args:
        stream: Its bytes; must be seekable.
        surroundings: What its lines leave open.

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
    return name_json(text, surroundings) if first in ("[", "{") else _name_text(text, surroundings)


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


def name_folders(root: str, store: SeriesListing) -> Iterator[list[Reading]]:
    """Every series folder below a root, some thousand at once."""
    folders = enumerate(store.list_series(""), 1)
    while some := [*islice(folders, _FOLDERS_AT_ONCE)]:
        yield [SeriesRef(root, folder, line=number) for number, folder in some if not folder.startswith(".")]


def _name_text(text: io.TextIOWrapper, surroundings: Surroundings) -> Iterator[list[Reading]]:
    """Tell a table with a header row from lines that each name a series."""
    blocks = read_blocks(text, surroundings.source)
    head: list[str] = []
    end = 0
    while end == len(head) < _COMMENT_LINES and (block := next(blocks, None)) is not None:
        head += block
        end = _end_of_head(head)
    header = find_header(head[:end])
    if header is not None:
        yield from name_records(chain([head], blocks), header, surroundings)
        return
    number = 1
    for block in chain([drop_title(head[:end]) + head[end:]], blocks):
        lines = [*map(str.strip, block)]
        yield name_lines(lines, surroundings, number)
        surroundings = follow_comments(lines, surroundings)
        number += len(lines)


def _end_of_head(lines: list[str]) -> int:
    """Number of lines among which a header row is looked for; all where more of them may come."""
    rows = 0
    for number, line in enumerate(lines[:_COMMENT_LINES], 1):
        rows += bool(line) and not line.startswith("#")
        if rows > PREAMBLE_ROWS:
            return number
    return min(len(lines), _COMMENT_LINES)


def _first_character(text: io.TextIOWrapper) -> str:
    while piece := text.read(4_096):
        if piece := piece.lstrip():
            return piece[0]
    return ""


@contextmanager
def _copy_remote(source: str, endpoint_url: str | None) -> Iterator[IO[bytes]]:
    """Bring stdin or a URL into a temporary file, which can be read from any place."""
    with tempfile.TemporaryFile() as copy:
        if source == STDIN:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        else:
            from dsp_batch.storage.objects import read_whole  # noqa: PLC0415  # storage clients are slow to import

            data = read_whole(source, endpoint_url=endpoint_url)
            if data is None:
                raise ManifestError(f"{source}: no such manifest; a bucket or folder of series ends in a slash")
            copy.write(data)
            del data
        copy.seek(0)
        yield copy
