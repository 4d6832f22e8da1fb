"""Check that a command can write its output, before it reads anything, so that no work is done for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsp_batch.errors import OptionsError, SinkError

if TYPE_CHECKING:
    from pathlib import Path

IMAGE_SUFFIXES = (".webp", ".jpg", ".jpeg")


def check_image_output(output: str, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> str:
    """Check that an image can be written to a path or URL.

    Returns:
        Its suffix, in small letters.

    Raises:
        OptionsError: The suffix names no format that is written.
        SinkError: The folder does not exist, or the URL is one that can only be read.
    """
    suffix = suffix_of(output)
    if suffix not in suffixes:
        raise OptionsError(f"OUTPUT {output!r} must end in {', '.join(suffixes[:-1])} or {suffixes[-1]}")
    check_output(output)
    return suffix


def check_output(output: str) -> None:
    """Check that a file can be written to a path or URL.

    Raises:
        SinkError: The folder does not exist, or the URL is one that can only be read.
    """
    from dsp_batch.storage.urls import parse_location  # noqa: PLC0415  # not for --help

    location = parse_location(output)
    if location.path is not None:
        try:
            _check_path(location.path, output)
        except OSError as error:
            raise SinkError(f"cannot write {output}: {(error.strerror or str(error)).lower()}") from error
    elif location.is_http:
        raise SinkError(f"cannot write {output}: HTTP servers are only read; give a file or the URL of a bucket")


def is_parquet(output: str) -> bool:
    """Tell whether an output is one Parquet file rather than a folder."""
    return suffix_of(output) == ".parquet"


def _check_path(path: Path, output: str) -> None:
    if path.is_dir() or output.endswith("/"):
        raise SinkError(f"cannot write {output}: it is a folder; give a file name")
    if not path.parent.is_dir():
        raise SinkError(f"cannot write {output}: there is no folder {path.parent}; create it first")


def suffix_of(output: str) -> str:
    """Find the suffix of the last part of a path or URL, in small letters; empty where it has none."""
    name = output.rstrip("/").rpartition("/")[2]
    return f".{name.rpartition('.')[2]}".lower() if "." in name[1:] else ""
