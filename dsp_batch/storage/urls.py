"""The one parser of URLs and paths: a text means the same location wherever it is given."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, unquote

from dsp_batch.errors import CONTROL_CHARACTERS, Reason, StorageError
from dsp_batch.storage.public_buckets import find_twin

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://(.*)", re.IGNORECASE | re.ASCII | re.DOTALL)
_NEARLY_URL = re.compile(r"[^/\\]*://|[a-z][a-z0-9+.-]+:/", re.IGNORECASE | re.ASCII)
_DRIVE = re.compile(r"[a-z]:[\\/]", re.IGNORECASE | re.ASCII)

_USER = re.compile(r"//.*@", re.DOTALL)
_USER_BEFORE_HOST = re.compile(r"^[^/\s@]*:[^/\s@]*@")
_NO_PORT = re.compile(r"(://[^/\s:@\[\]]*:)(?!\d*(?:[/?#\s\"',;]|$))[^/\s]+")
"""What stands behind the colon of a host or bucket where a port would: a password whose `@` comes later, or is lost."""

_QUERY = re.compile(r"(://[^?\s]*\?)[^\s\"']+")
_HOST = re.compile(r"(?:\[[^\]]*\]|[^:]*)(?::\d*)?")
"""A host of an HTTP server, with its port."""

_SCHEME_ALIASES = {"s3a": "s3", "gcs": "gs"}
"""Scheme as other programs write it → the scheme as it is written here."""

_WITH_ACCOUNT = frozenset(("az", "abfs", "abfss"))
"""Schemes whose `container@account` is a container, not a user name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A folder or an object, on disk, in a bucket or on a server. Its text (`str`) is parsed to the same location."""

    scheme: str
    """`file`, `s3`, `gs`, `https` and so on, in lower case."""

    container: str
    """Bucket, or host and port. For `file` the drive, which is empty where there are none."""

    parts: tuple[str, ...]
    """The path below the container, as it is written: HTTP URLs keep their escapes, local paths have none."""

    def __str__(self) -> str:
        """The URL, or the absolute path, without a slash at its end."""
        head = self.container if self.scheme == "file" else f"{self.scheme}://{self.container}"
        if self.parts and self.container:
            return f"{head}/{self.key}"
        # A file system begins with a slash, and so does a drive that has no more parts; `memory` has no container.
        return f"{head}/{self.key}" if self.scheme == "file" else head + self.key

    @property
    def key(self) -> str:
        """The path below the container, without a slash at either end."""
        return "/".join(self.parts)

    @property
    def parent(self) -> Location:
        """The folder that it lies in. The parent of a container is the container itself."""
        return Location(scheme=self.scheme, container=self.container, parts=self.parts[:-1])

    @property
    def top(self) -> Location:
        """The bucket, host, drive or file system that it lies in."""
        return Location(scheme=self.scheme, container=self.container, parts=())

    @property
    def path(self) -> Path | None:
        """The local path; None where it lies in remote storage.

        Raises:
            StorageError: It lies on a drive, and this system has none.
        """
        if self.scheme != "file":
            return None
        if self.container and os.sep == "/":
            raise StorageError(f"{self} is a path of Windows: this system has no drives", reason="not-found")
        return Path(str(self))

    @property
    def is_http(self) -> bool:
        """True where it lies on an HTTP server, which is only read."""
        return self.scheme in ("http", "https")


def parse_location(text: str | os.PathLike[str], endpoint_url: str | None = None) -> Location:
    r"""Read a URL or a path as users write it.

    Args:
        text: `s3://bucket/prefix`, `https://host/path`, `file:///d`, `/d`, `./d`, `~/d`, `C:\d`, `gs://bucket`,
            `az://container`, with or without `/` or `/*` at the end; or a `Path`.
        endpoint_url: S3-compatible server that will be read; None for AWS. Names of IDC's buckets at Google become
            those of their AWS twins, unless Google itself is read.

    Raises:
        StorageError: The text is empty, or holds a user name, a query, an empty part or `..` in a URL, or control
            characters.

    Example:
        >>> str(parse_location("gs://public-datasets-idc/")), str(parse_location("HTTPS://Host/A%20b/*"))
        ('s3://idc-open-data', 'https://host/A%20b')
    """
    written = os.fspath(text).lstrip(" ")
    url = _URL.fullmatch(written)
    if url is None:
        if _NEARLY_URL.match(written) and not _DRIVE.match(written):
            _refuse(written, "is no URL: those begin with a scheme and two slashes (and local folders with ./)")
        return _parse_path(written, written)
    scheme = _SCHEME_ALIASES.get(url[1].lower(), url[1].lower())
    if scheme == "file":
        return _parse_path(_decode_file_url(url[2].rstrip(" "), written), written)
    return _parse_url(scheme, url[2].rstrip(" "), written, endpoint_url)


def normalise_root(text: str | os.PathLike[str], endpoint_url: str | None = None) -> str:
    """Bring a root or a folder into the form that is stored and compared: a URL, or an absolute local path.

    Arguments and errors are those of `parse_location`.

    Example:
        >>> normalise_root("gs://public-datasets-idc/")
        's3://idc-open-data'
    """
    return str(parse_location(text, endpoint_url))


def locate_below(root: str, folder: str) -> str:
    """Return the root that a folder below a root is, in normal form: HTTP URLs have escapes, names have none."""
    if not folder:
        return root
    return f"{root}/{quote(folder) if root.startswith(('http://', 'https://')) else folder}"


def local_path(text: str | os.PathLike[str]) -> Path | None:
    """Return the local path that a URL or path stands for; None where it lies in remote storage."""
    return parse_location(text).path


def is_location(text: str) -> bool:
    """Tell whether a text is a URL or a path, rather than a name without any slash."""
    return "/" in text or _DRIVE.match(text) is not None or (os.sep == "\\" and "\\" in text)


def hide_secrets(text: str) -> str:
    """Return a text as people may see it: without user names, passwords, queries and signatures of its URLs.

    Example:
        >>> hide_secrets("https://me:password@host/series?X-Amz-Signature=1f2e")
        'https://…@host/series?…'
    """
    shown = text
    if "@" in text:
        shown = _USER_BEFORE_HOST.sub("…@", _USER.sub("//…@", text))
    return _QUERY.sub(r"\1…", _NO_PORT.sub(r"\1…", shown)) if "://" in shown else shown


def show_text(text: str) -> str:
    """Quote what a user wrote for a message, in short and without secrets."""
    shown = hide_secrets(text)
    return repr(shown if len(shown) <= 120 else f"{shown[:119]}…")


def _parse_url(scheme: str, rest: str, written: str, endpoint_url: str | None) -> Location:
    container, *parts = _strip_end(rest).split("/")
    if scheme == "memory":  # has no containers: memory:///a and memory://a are the same to fsspec
        container, parts = "", [container, *parts] if container else parts
    is_http = scheme in ("http", "https")
    has_password = not _HOST.fullmatch(container) if is_http else ":" in container  # one with a slash ends elsewhere
    if has_password or ("@" in container and scheme not in _WITH_ACCOUNT):
        _refuse(written, "holds a user name or password: leave it out of the URL", "access-denied")
    if not container and scheme != "memory":
        _refuse(written, "names no bucket and no host")
    checked = rest if is_http else container
    if "?" in checked or "#" in checked:
        _refuse(written, "has a query or a fragment: give the URL of the folder alone")
    read = unquote("/".join(parts)) if is_http and "%" in rest else "/".join(parts)
    _check_characters(container + read, written)
    if not {".", ".."}.isdisjoint((container, *read.split("/"))):
        _refuse(written, "has '.' or '..' in it: give the full URL of the folder")
    if "" in parts:
        _refuse(written, "has two slashes in a row: give the URL of the folder without empty parts")
    if (parts[-1] if parts else container).endswith(" ") or parts[-1:] == ["*"]:
        _refuse(written, "ends in a second wildcard, or in a blank before the slash: give the URL of one folder")
    if is_http:
        container = container.lower()
    scheme, container = find_twin(scheme, container, endpoint_url)
    return Location(scheme=scheme, container=container, parts=tuple(parts))


def _parse_path(path: str, written: str) -> Location:
    _check_characters(path, written)
    if not path.strip():
        _refuse(written, "is no URL and no path: give one")
    is_on_drive = _DRIVE.match(path) is not None
    if is_on_drive or os.sep == "\\":
        path = path.replace("\\", "/")
    path = _strip_end(path)
    if is_on_drive and os.sep == "/":  # written on Windows, in a manifest that is read here
        drive, *parts = path.split("/")
        if ".." in parts:
            _refuse(written, "has '..' in it: give the full path of the folder")
    else:
        drive, absolute = os.path.splitdrive(_resolve(f"{path}/" if is_on_drive else path or "/"))
        drive, parts = drive.replace("\\", "/"), absolute.replace(os.sep, "/").split("/")
    inside = tuple(part for part in parts if part not in ("", "."))
    if inside[-1:] == ("*",):
        _refuse(written, "is a wildcard: give the path of one folder")
    return Location(scheme="file", container=drive.upper() if is_on_drive else drive, parts=inside)


def _resolve(path: str) -> str:
    """Make a path absolute. `..` behind a symbolic link leads elsewhere than striking out the part before it."""
    expanded = os.path.expanduser(path)  # noqa: PTH111  # pathlib raises where there is no such user
    if ".." in expanded.split("/"):
        return os.path.realpath(expanded)
    return os.path.abspath(expanded)  # noqa: PTH100  # a Path costs more than all the rest


def _decode_file_url(rest: str, written: str) -> str:
    """Decode a file:// URL into its local path."""
    host, slash, path = rest.partition("/")
    if host.lower() not in ("", "localhost"):
        _refuse(written, "names another host: file URLs are local (file:///folder)")
    if not slash:
        _refuse(written, "names no folder: give its full path (file:///folder)")
    if "?" in path or "#" in path:
        _refuse(written, "has a query or a fragment: write ? and # as %3F and %23, or give the path")
    path = unquote(path, errors="surrogateescape")
    return path if _DRIVE.match(f"{path}/") else f"/{path}"


def _strip_end(path: str) -> str:
    """Take off the `/` or `/*` at the end of a path, which say that it is a folder."""
    return path.rstrip("/").removesuffix("/*").rstrip("/")


def _check_characters(read: str, written: str) -> None:
    if CONTROL_CHARACTERS.search(read):
        _refuse(written, "holds control characters, or bytes that are no text")


def _refuse(written: str, why: str, reason: Reason = "not-found") -> NoReturn:
    raise StorageError(f"{show_text(written)} {why}", reason)
