"""Whole local files: written atomically, listed without the temporary ones."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dsp_batch.errors import SinkError, StorageError, UnavailableError
from dsp_batch.storage.keys import StoredKey
from dsp_batch.storage.usage import count_usage

_DAY = 86400.0

_PASSING = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN)
"""What network file systems answer while their server is away."""


def write_file(path: Path, data: bytes, *, make_parents: bool) -> None:
    """Write a file under a temporary name beside its final one, then rename it."""
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}.tmp"
    try:
        if make_parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        _write_and_rename(temporary, path, data)
    except OSError as error:
        kind = UnavailableError if error.errno in _PASSING else SinkError
        raise kind(f"cannot write {path}: {_explain_write(error, path.parent)}") from error


def _write_and_rename(temporary: Path, path: Path, data: bytes) -> None:
    try:
        with temporary.open("xb") as file:
            file.write(data)
        temporary.replace(path)
    except BaseException:  # an interrupt too must leave nothing behind
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def read_file(path: Path) -> bytes | None:
    """Read a whole file; None where there is none."""
    count_usage(requests=1)
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _reading_error(error, f"read {path}") from error
    count_usage(bytes_read=len(data))
    return data


def list_files(folder: Path) -> Iterator[StoredKey]:
    """List the files below a folder, sorted within each folder; none where there is no such folder."""
    count_usage(requests=1)
    for key, entry in _walk(folder):
        if not _is_temporary(entry.name):
            try:
                status = entry.stat()
            except FileNotFoundError:  # another process has deleted it since the folder was read
                continue
            yield StoredKey(key, status.st_size, status.st_mtime)


def delete_file(path: Path) -> None:
    """Delete a file; nothing happens where there is none."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise SinkError(f"cannot delete {path}: {_lower(error)}") from error


def remove_stale_files(folder: Path, older_than: float = _DAY) -> int:
    """Remove temporary files that a killed process left.

    Args:
        folder: Searched with all its folders.
        older_than: Age in seconds; younger ones may still be being written.

    Returns:
        How many were removed.
    """
    limit = time.time() - older_than
    removed = 0
    for _, entry in _walk(folder):
        try:
            if _is_temporary(entry.name) and entry.stat().st_mtime < limit:
                Path(entry.path).unlink()
                removed += 1
        except OSError:  # another process removes them too, or they are not ours
            continue
    return removed


def _walk(folder: Path, above: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The files below a folder, each with its key, which is put together here: pathlib takes 50 µs for one."""
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _reading_error(error, f"list {folder}") from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{above}{entry.name}/")
        elif entry.is_file():
            yield above + entry.name, entry


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(".tmp")


def _explain_write(error: OSError, folder: Path) -> str:
    if isinstance(error, FileNotFoundError):
        return f"there is no folder {folder}; create it first"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full or the quota used up; free some space"
    if isinstance(error, IsADirectoryError):
        return "it is a folder; give a file name"
    return f"{_lower(error)}; choose another place"


def _reading_error(error: OSError, what: str) -> StorageError:
    denied = isinstance(error, PermissionError)
    return StorageError(f"cannot {what}: {_lower(error)}", reason="access-denied" if denied else "network")


def _lower(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
