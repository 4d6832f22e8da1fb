"""Local folders."""

from __future__ import annotations

import os
import stat
from io import FileIO
from pathlib import Path

from dsp_batch.errors import StorageError
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage.usage import count_usage


class LocalBackend:
    """A folder of series folders."""

    def __init__(self, root: str) -> None:
        self._root = root

    async def list_objects(self, folder: str) -> list[ObjectInfo]:
        """List the files directly below a folder, with their sizes."""
        count_usage(requests=1)
        try:
            with os.scandir(f"{self._root}/{folder}") as entries:
                return [ObjectInfo(name=each.name, size=each.stat().st_size) for each in entries if each.is_file()]
        except (FileNotFoundError, NotADirectoryError) as error:
            self._check_root()
            if isinstance(error, NotADirectoryError):
                place = f"{self._root}/{folder}"
                raise StorageError(f"{place} is a file: give the folder of its series", "not-found") from error
            return []
        except OSError as error:
            raise _translate(error, f"list {self._root}/{folder}") from error

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
        return LocalSource(f"{self._root}/{folder}/{info.name}")

    def _check_root(self) -> None:
        if not Path(self._root).is_dir():
            raise StorageError(f"no such folder: {self._root}", reason="not-found")


class LocalSource:
    """One file, open from its first read to the end of its reader."""

    def __init__(self, path: str) -> None:
        self.size: int | None = None
        self._path = path
        self._file: FileIO | None = None

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
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self, start: int, stop: int) -> bytes:
        file, size = self._open()
        file.seek(start)
        return file.read(max(min(stop, size) - start, 0))

    def _open(self) -> tuple[FileIO, int]:
        if self._file is None or self.size is None:
            status = os.stat(self._path)  # noqa: PTH116  # a Path costs as much as the read
            if not stat.S_ISREG(status.st_mode):  # opening a named pipe would wait for ever
                raise StorageError(f"cannot read {self._path}: it is no regular file", reason="not-found")
            self._file = FileIO(self._path)
            self.size = status.st_size
        return self._file, self.size


def _translate(error: OSError, what: str) -> StorageError:
    if isinstance(error, PermissionError):
        return StorageError(f"cannot {what}: permission denied", reason="access-denied")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return StorageError(f"cannot {what}: no such file", reason="not-found")
    return StorageError(f"cannot {what}: {error.strerror}", reason="network")
