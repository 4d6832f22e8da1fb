"""Local folders: files read in ranges, written atomically, and listed without the temporary ones."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path

from dsp_batch.errors import SinkError, StorageError, UnavailableError
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage.backend import FolderListing, ObjectHeaders, StoredKey, Subfolder
from dsp_batch.storage.backends.content_coding import check_size, decode_body, is_named_gzip
from dsp_batch.storage.usage import count_usage

_STALE_SECONDS = 86400.0
"""Seconds after which a temporary file counts as left behind: one day."""

_PRIVATE_FILE = 0o600
"""Mode of the files of a cache: indices hold patient attributes."""

_USUAL_FILE = 0o666
"""Mode of other files, less what the umask takes away."""

_PASSING = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN)
"""Error numbers of network file systems while their server is away."""


class LocalBackend:
    """A folder of series folders, or of a cache.

    Args:
        root: Absolute path.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    async def list_level(self, folder: str) -> FolderListing | None:
        """List the files and folders directly below a folder, with sizes and times."""
        count_usage(requests=1)
        path = os.path.join(self._root, folder)  # noqa: PTH118  # pathlib takes 50 µs
        level = FolderListing([], [])
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    _take_entry(entry, level)
        except (FileNotFoundError, NotADirectoryError) as error:
            self._check_root()
            if isinstance(error, NotADirectoryError):
                raise StorageError(f"{path} is a file: give the folder of its series", "not-found") from error
            return None
        except OSError as error:
            raise _translate(error, f"list {path}") from error
        return level

    async def list_folders(self, prefix: str) -> list[str]:
        """List the folders below the root whose names start with a prefix."""
        count_usage(requests=1)
        self._check_root()
        try:
            with os.scandir(self._root) as entries:
                return [each.name for each in entries if each.name.startswith(prefix) and each.is_dir()]
        except OSError as error:
            raise _translate(error, f"list {self._root}") from error

    def open_object(self, folder: str, info: ObjectInfo) -> LocalSource:
        """Prepare to read a file."""
        return LocalSource(os.path.join(self._root, folder, info.name))  # noqa: PTH118  # pathlib takes 50 µs

    def read_whole(self, key: str) -> bytes | None:
        """Read a whole file; None where there is none."""
        path = self._root / key
        count_usage(requests=1)
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _reading_error(error, f"read {path}") from error
        count_usage(bytes_read=len(data))
        return data

    def write_whole(self, key: str, data: bytes, headers: ObjectHeaders, *, make_parents: bool) -> None:  # noqa: ARG002  # files have no headers
        """Write a file under a temporary name beside its final one, then rename it.

        With `make_parents`, the file and the folders made for it are for their owner alone.
        """
        path = self._root / key
        temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}.tmp"
        try:
            if make_parents:
                _make_private_folder(path.parent)
            _write_and_rename(temporary, path, data, _PRIVATE_FILE if make_parents else _USUAL_FILE)
        except OSError as error:
            kind = UnavailableError if error.errno in _PASSING else SinkError
            raise kind(f"cannot write {path}: {_explain_write(error, path.parent)}") from error

    def delete(self, key: str) -> None:
        """Delete a file; nothing happens where there is none."""
        path = self._root / key
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise SinkError(f"cannot delete {path}: {_lower(error)}") from error

    def list_keys(self, folder: str) -> Iterator[StoredKey]:
        """List the files below a folder, sorted within each folder; none where there is no such folder."""
        count_usage(requests=1)
        for key, entry in _walk(self._root / folder):
            if not _is_temporary(entry.name):
                try:
                    status = entry.stat()
                except FileNotFoundError:  # another process has deleted it since the folder was read
                    continue
                yield StoredKey(key, status.st_size, status.st_mtime)

    def _check_root(self) -> None:
        if not self._root.is_dir():
            raise StorageError(f"no such folder: {self._root}", reason="not-found")


class LocalSource:
    """One file, open from its first read to the end of its reader."""

    def __init__(self, path: str) -> None:
        self.size: int | None = None
        self._path = path
        self._file: FileIO | None = None
        self._body: bytes | None = None
        """The whole file, decoded, where its name says that it is in gzip's coding."""

    async def read_range(self, start: int, stop: int) -> bytes:
        """Read `[start, stop)`."""
        count_usage(requests=1)
        try:
            data = self._read(start, stop)
        except OSError as error:
            raise _translate(error, f"read {self._path}") from error
        count_usage(bytes_read=len(data))
        return data

    def close(self) -> None:
        """Close the file."""
        self._body = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self, start: int, stop: int) -> bytes:
        if is_named_gzip(self._path):
            return self._read_decoded()[start:stop]
        file, size = self._open()
        file.seek(start)
        return file.read(max(min(stop, size) - start, 0))

    def _read_decoded(self) -> bytes:
        if self._body is None:
            what = f"read {self._path}"
            file, size = self._open()
            check_size(size, what)
            self._body = decode_body(file.readall(), None, self._path, what)
            self.size = len(self._body)
        return self._body

    def _open(self) -> tuple[FileIO, int]:
        if self._file is None or self.size is None:
            status = os.stat(self._path)  # noqa: PTH116  # a Path costs as much as the read
            if not stat.S_ISREG(status.st_mode):  # opening a named pipe would wait for ever
                raise StorageError(f"cannot read {self._path}: it is no regular file", reason="not-found")
            self._file = FileIO(self._path)
            self.size = status.st_size
        return self._file, self.size


def _take_entry(entry: os.DirEntry[str], level: FolderListing) -> None:
    """Add an entry of a folder to what is listed of it. Links that lead nowhere, pipes and devices are left out."""
    if entry.is_file():
        try:
            status = entry.stat()
        except FileNotFoundError:  # another process has deleted it since the folder was read
            return
        level.objects.append(ObjectInfo(name=entry.name, size=status.st_size, modified=status.st_mtime))
    elif entry.is_dir():
        link = os.path.realpath(entry.path) if entry.is_symlink() else None
        level.folders.append(Subfolder(entry.name, link))


def _translate(error: OSError, what: str) -> StorageError:
    if isinstance(error, PermissionError):
        return StorageError(f"cannot {what}: permission denied", reason="access-denied")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return StorageError(f"cannot {what}: no such file", reason="not-found")
    return StorageError(f"cannot {what}: {error.strerror}", reason="network")


def remove_stale_files(folder: Path, older_than: float = _STALE_SECONDS) -> int:
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


def _make_private_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing; `Path.mkdir` gives a mode to the last one alone."""
    if not folder.is_dir():
        if folder.parent != folder:  # a drive that is not there
            _make_private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _write_and_rename(temporary: Path, path: Path, data: bytes, mode: int) -> None:
    try:
        with open(
            temporary, "xb", opener=lambda path, flags: os.open(path, flags, mode)
        ) as file:  # a Path's has no opener
            file.write(data)
        temporary.replace(path)
    except BaseException:  # an interrupt too must leave nothing behind
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _walk(folder: Path, above: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Walk the files below a folder, each with its key, which is put together here: pathlib takes 50 µs for one."""
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
