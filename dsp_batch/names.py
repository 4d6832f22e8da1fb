"""Names of series: what a user may write, and the folder that it means."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol
from urllib.parse import unquote

from dsp_batch.errors import OptionsError, StorageError
from dsp_batch.idc.index import INSTALL_HINT, find_series_uids, open_index
from dsp_batch.model.identifiers import HEX_DIGITS, is_series_instance_uid, normalise_uuid
from dsp_batch.model.series import SeriesRef
from dsp_batch.storage.public_buckets import is_idc_root, place_root

_log = logging.getLogger(__name__)

ACCEPTED_FORMS = (
    "a series UUID, 32 hex digits, a prefix (38902e14*), a URL or path of the series folder "
    "(s3://bucket/UUID, ./folder/UUID), or a SeriesInstanceUID (1.3.6.1…)"
)

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://(.*)", re.IGNORECASE | re.ASCII)
_DRIVE = re.compile(r"[a-z]:[\\/]", re.IGNORECASE | re.ASCII)
# C0 and C1 controls, line and paragraph separators, marks that reverse the direction of text, lone surrogates.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesName:
    """What a text says about a series, before anything is listed."""

    root: str
    """URL or absolute path that holds the series folder, without trailing slash."""

    name: str
    """Folder name, beginning of it, or SeriesInstanceUID (0020,000E)."""

    kind: Literal["folder", "prefix", "uid"]
    own_root: bool = False
    """The text gave the root itself, as a URL or path."""


class SeriesListing(Protocol):
    """The part of a store that names are looked up in."""

    def list_series(self, prefix: str) -> list[str]:
        """Names of series folders that begin with a text, in lexicographic order."""


def parse_series(text: str, root: str, endpoint_url: str | None = None) -> SeriesName:
    """Read the name of a series.

    Args:
        text: A UUID, 32 hex digits, a prefix with `*`, a URL or path, or a SeriesInstanceUID.
        root: Where to look when the text does not say it: as `storage.roots.normalise_root` gives it.
        endpoint_url: S3-compatible server that will be read; decides whether names of Google's buckets stay.

    Raises:
        OptionsError: The text is none of these; the message names the accepted forms.

    Example:
        >>> parse_series("38902E14B11F4548910E771EE757DC82", "s3://idc-open-data").name
        '38902e14-b11f-4548-910e-771ee757dc82'
    """
    name = text.strip(" ")
    if _CONTROL.search(name):
        raise OptionsError(f"{_shown(text)} holds control characters: it names no series")
    if uuid := normalise_uuid(name):
        return SeriesName(root=root, name=uuid, kind="folder")
    if is_series_instance_uid(name):
        return SeriesName(root=root, name=name, kind="uid")
    if prefix := _parse_prefix(name):
        return SeriesName(root=root, name=prefix, kind="prefix")
    if _is_place(name):
        return _parse_place(name, endpoint_url)
    raise OptionsError(explain_unknown(text))


def explain_unknown(text: str) -> str:
    """What is wrong with a text that has none of the forms of a name."""
    return f"{_shown(text)} names no series: give {ACCEPTED_FORMS}"


def resolve_series(name: SeriesName, store_of: Callable[[str], SeriesListing]) -> SeriesRef:
    """Find the folder that a name means: list for a prefix, ask the IDC index for a SeriesInstanceUID.

    Args:
        name: What `parse_series` gave.
        store_of: Root → where to list.

    Returns:
        The series. Of several that begin with a prefix the first; a warning is logged with their number.

    Raises:
        StorageError: Nothing below the root has that name.
        OptionsError: A SeriesInstanceUID that only the IDC index could resolve, which is not installed.
    """
    if name.kind == "prefix":
        matches = store_of(name.root).list_series(name.name)
        if len(matches) > 1:
            _log.warning("%d series begin with %s; taking the first, %s", len(matches), name.name, matches[0])
        return SeriesRef(root=name.root, series_uuid=first_match(name, matches))
    if name.kind == "folder":
        return SeriesRef(root=name.root, series_uuid=name.name)
    if not is_idc_root(name.root) and name.name in store_of(name.root).list_series(name.name):
        return SeriesRef(root=name.root, series_uuid=name.name)
    return _find_in_index(name)


def first_match(name: SeriesName, matches: list[str]) -> str:
    """The first of the series that begin with a prefix.

    Raises:
        StorageError: There is none.
    """
    if not matches:
        raise StorageError(f"no series below {name.root} begins with {name.name}", "not-found")
    return matches[0]


def _find_in_index(name: SeriesName) -> SeriesRef:
    index = open_index()
    if index is None:
        raise OptionsError(
            f"SeriesInstanceUID {name.name} is not below {name.root}, and the IDC index is not installed: "
            f"{INSTALL_HINT}, or give its UUID or URL"
        )
    found = find_series_uids(index, [name.name])[0]
    if found is None:
        raise StorageError(
            f"SeriesInstanceUID {name.name} is neither below {name.root} nor in the IDC index", "not-found"
        )
    if found.place.superseded:
        _log.warning("series %s is no longer in IDC's current version", found.series_uuid)
    return SeriesRef(root=found.place.root, series_uuid=found.series_uuid)


def _hyphenate(digits: str) -> str:
    return "-".join(part for part in (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]) if part)


def _parse_prefix(name: str) -> str | None:
    """The raw key prefix that `38902e14*` stands for; None when the text is no prefix."""
    if not name.endswith("*"):
        return None
    written = name[:-1].lower()
    digits = written.replace("-", "")
    if not HEX_DIGITS.fullmatch(digits):
        return None
    hyphenated = _hyphenate(digits)
    return written if written == f"{hyphenated}-" else hyphenated if written in (digits, hyphenated) else None


def _is_place(name: str) -> bool:
    return "/" in name or _DRIVE.match(name) is not None or (os.sep == "\\" and "\\" in name)


def _parse_place(text: str, endpoint_url: str | None) -> SeriesName:
    """Split a URL or path into root and folder."""
    place, is_folder = text, False
    for ending in ("/*", "/", "\\*", "\\"):
        if text.endswith(ending) and (ending[0] == "/" or not _URL.match(text)):
            place, is_folder = text.removesuffix(ending), True
            break
    url = _URL.fullmatch(place)
    if url is None or url[1].lower() == "file":
        path = _file_path(place) if url else place
        path = path.replace("\\", "/") if _DRIVE.match(path) or os.sep == "\\" else path
        _refuse_parts(path.removeprefix("./" if path.startswith("./") else "/").split("/"), text)
        head, *parts = _local_path(path).split("/")
    else:
        scheme, (host, *parts) = _split_url(place)
        head = f"{scheme}://{host}"
    if not is_folder and _ends_at_instance(parts):
        parts.pop()
    if not parts:
        raise OptionsError(
            f"{_shown(text)} names no series folder; URLs of instances directly below a bucket name none"
        )
    root = "/".join([head, *parts[:-1]])
    if not root or root.endswith(":"):
        root += "/"  # the folder lies directly in the root of a file system or drive
    return _name_folder(parts[-1], place_root(root, endpoint_url), text)


def _name_folder(folder: str, root: str, text: str) -> SeriesName:
    if prefix := _parse_prefix(folder):
        return SeriesName(root=root, name=prefix, kind="prefix", own_root=True)
    if "*" in folder or "*" in root:
        raise OptionsError(f"{_shown(text)} names no series: a wildcard stands at the end of hex digits only")
    if is_idc_root(root):
        uuid = normalise_uuid(folder)
        if uuid is None:
            raise OptionsError(f"{_shown(text)} names no series: the folders of {root} are UUIDs")
        folder = uuid
    return SeriesName(root=root, name=folder, kind="folder", own_root=True)


def _ends_at_instance(parts: list[str]) -> bool:
    """Whether the last part is an object of a series rather than its folder."""
    if parts[-1:] and parts[-1].lower().endswith(".dcm"):
        return True
    return len(parts) > 1 and not _is_folder_like(parts[-1]) and _is_folder_like(parts[-2])


def _is_folder_like(part: str) -> bool:
    return _parse_prefix(part) is not None or normalise_uuid(part) is not None or is_series_instance_uid(part)


def _split_url(text: str) -> tuple[str, list[str]]:
    """Scheme, and host or bucket followed by the parts of the path."""
    match = _URL.fullmatch(text)
    if match is None:
        raise OptionsError(f"{_shown(text)} is no URL")
    scheme, rest = match[1].lower(), match[2]
    parts = rest.split("/")
    if scheme in ("http", "https"):
        if "@" in parts[0]:
            raise OptionsError(f"the URL of {_shown(parts[0].rpartition('@')[2])} carries credentials: leave them out")
        if "?" in rest or "#" in rest:
            raise OptionsError(f"{_shown(text)} has a query: give the URL of the folder alone")
        _refuse_parts(unquote(rest).split("/"), text)
    _refuse_parts(parts, text)
    return scheme, parts


def _refuse_parts(parts: list[str], text: str) -> None:
    """Refuse what would make storage look elsewhere than the text says."""
    if any(part in ("", ".", "..") for part in parts):
        raise OptionsError(
            f"{_shown(text)} has empty parts, '.' or '..' in it: give the full path of the series folder"
        )
    if any(_CONTROL.search(part) for part in parts):
        raise OptionsError(f"{_shown(text)} holds control characters: it names no series")


def _file_path(text: str) -> str:
    """The local path of a file:// URL, decoded."""
    host, slash, path = text[len("file://") :].partition("/")
    if host not in ("", "localhost"):
        raise OptionsError(f"{_shown(text)} names another host: file URLs are local (file:///folder/UUID)")
    path = unquote(slash + path)
    return path[1:] if _DRIVE.match(path[1:]) else path


def _local_path(path: str) -> str:
    """Absolute, with forward slashes where drive letters are used, without trailing slash."""
    if _DRIVE.match(path):
        path = path.replace("\\", "/")
        return path if len(path) == 3 else path.rstrip("/")
    absolute = os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111  # pathlib resolves links or keeps dots
    return absolute.replace("\\", "/") if os.sep == "\\" else absolute


def _shown(text: str) -> str:
    return repr(text if len(text) <= 120 else f"{text[:119]}…")
