"""Where series lie: roots as users write them, in one normal form."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dsp_batch.errors import StorageError
from dsp_batch.storage.public_buckets import GOOGLE_TWINS

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://")


def normalise_root(text: str) -> str:
    """Bring a root or a folder into the form that is stored and compared: a URL, or an absolute local path.

    Args:
        text: `s3://bucket/prefix`, `https://host/path`, `file:///d`, `/d`, `./d`, `~/d`, `gs://bucket`, `az://…`.

    Returns:
        The same place without trailing slash. Local places are absolute paths without `file://`; Google buckets of
        the Imaging Data Commons are replaced by their AWS twins; S3 keys have no empty parts, which obstore cannot
        ask for.

    Raises:
        StorageError: The text is empty, or holds a password, a query, `..` in a URL, or control characters.

    Example:
        >>> normalise_root("gs://public-datasets-idc/")
        's3://idc-open-data'
    """
    if not text.strip() or any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise StorageError(f"not a root: {text!r}; give a URL or a folder", reason="not-found")
    match = _SCHEME.match(text)
    if match is None:
        return _absolute_path(text)
    scheme, rest = match[1].lower(), text[match.end() :]
    if scheme == "file":
        return _absolute_path(unquote(urlsplit(text).path))
    container, _, path = rest.partition("/")
    _check_url(scheme, container, path)
    if scheme == "s3a":
        scheme = "s3"
    if scheme in ("gs", "gcs"):
        scheme, container = ("s3", GOOGLE_TWINS[container]) if container in GOOGLE_TWINS else ("gs", container)
    if scheme == "s3":
        path = "/".join(part for part in path.split("/") if part)
    if scheme in ("http", "https"):
        container = container.lower()
    return f"{scheme}://{container}/{path}".rstrip("/")


def split_scheme(root: str) -> tuple[str, str]:
    """Split a normalised root into its scheme (`file` for local paths) and the rest."""
    scheme, separator, rest = root.partition("://")
    return (scheme, rest) if separator else ("file", root)


def local_path(url: str) -> Path | None:
    """The local path that a URL or path stands for; None where it lies in remote storage."""
    scheme, rest = split_scheme(normalise_root(url))
    return Path(rest) if scheme == "file" else None


def _absolute_path(text: str) -> str:
    path = Path(text).expanduser()
    # `..` behind a symbolic link leads elsewhere than striking out the part before it.
    return str(path.resolve() if ".." in path.parts else path.absolute())


def _check_url(scheme: str, container: str, path: str) -> None:
    # abfs://container@account is a place; elsewhere an @ brings a user name, and most likely a password.
    if "@" in container and scheme not in ("az", "abfs", "abfss"):
        raise StorageError(f"{scheme}:// URLs must not hold a user name or password", reason="access-denied")
    if scheme in ("http", "https") and ("?" in path or "#" in path):
        raise StorageError(f"a root has no query and no fragment: {scheme}://{container}/…", reason="not-found")
    if not container and scheme != "memory":
        raise StorageError(f"no bucket or host in {scheme}://{path}", reason="not-found")
    if ".." in path.split("/"):
        raise StorageError(f"`..` is refused in URLs: {scheme}://{container}/{path}", reason="not-found")
