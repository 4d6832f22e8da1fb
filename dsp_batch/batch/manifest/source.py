"""Where a manifest comes from and which form it has: a file, a URL, stdin, or a folder of series."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from dsp_batch.errors import ManifestError
from dsp_batch.storage.urls import local_path

_log = logging.getLogger(__name__)

STDIN = "-"
_COMMENT_LINES = 1_000
"""Comments and blank lines that may come before a header row."""

_FOLDERS_AT_ONCE = 4_096

_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip or Excel", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2"}


def is_folder(source: str | os.PathLike[str]) -> bool:
    """Tell a folder or bucket of series from a file: as text it ends in a slash; a path object is looked at."""
    if isinstance(source, str):
        return source.endswith(("/", os.sep))
    return Path(source).is_dir()


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
