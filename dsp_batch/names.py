"""Names of series: what a user may write, and the folder that it means."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import unquote

from dsp_batch.errors import OptionsError, StorageError
from dsp_batch.idc.index import INSTALL_HINT, find_series_uids, open_idc_index
from dsp_batch.model.identifiers import HEX_DIGITS, is_series_instance_uid, normalise_uuid
from dsp_batch.model.series import SeriesRef
from dsp_batch.storage.public_buckets import is_idc_root
from dsp_batch.storage.urls import is_location, parse_location, show_text

_log = logging.getLogger(__name__)

ACCEPTED_FORMS = (
    "a series UUID, 32 hex digits, a prefix (38902e14*), a URL or path of the series folder "
    "(s3://bucket/UUID, ./folder/UUID), or a SeriesInstanceUID (1.3.6.1…)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesName:
    """The name of a series as a text gives it, before anything is listed."""

    root: str
    """URL or absolute path that holds the series folder, without trailing slash."""

    name: str
    """Folder name, beginning of it, SeriesInstanceUID (0020,000E), or file name; empty for the root itself."""

    kind: Literal["folder", "prefix", "uid", "tree", "object"]
    """What the name is of: `tree` is a folder that is scanned for series, `object` a file that is a series alone."""

    own_root: bool = False
    """True where the text gave the root itself, as a URL or path."""


class SeriesListing(Protocol):
    """The one method of a store that looks names up."""

    def list_series(self, prefix: str) -> list[str]:
        """List the series folders whose names begin with a text, in lexicographic order."""


def find_local(text: str) -> SeriesName | None:
    """Read a text as the path of a folder or a file that is there on this machine.

    Returns:
        A series where the name of the folder is a UUID, else the folder as one to scan, or the file as one object; None
        where nothing of that name is there.
    """
    try:
        location = parse_location(text)
    except StorageError:
        return None
    if location.scheme != "file" or not os.path.exists(str(location)):  # noqa: PTH110  # pathlib refuses some texts
        return None
    if not Path(str(location)).is_dir():
        return SeriesName(root=str(location.parent), name=location.parts[-1], kind="object", own_root=True)
    if location.parts and normalise_uuid(location.parts[-1]):
        return SeriesName(root=str(location.parent), name=location.parts[-1], kind="folder", own_root=True)
    return SeriesName(root=str(location), name="", kind="tree", own_root=True)


def parse_series(text: str, root: str, endpoint_url: str | None = None) -> SeriesName:
    """Read the name of a series.

    Args:
        text: A UUID, 32 hex digits, a prefix with `*`, a URL or path, or a SeriesInstanceUID.
        root: Where to look when the text does not say it: as `storage.urls.normalise_root` gives it.
        endpoint_url: S3-compatible server that will be read; decides whether names of Google's buckets stay.

    Raises:
        OptionsError: The text is none of these; the message names the accepted forms.

    Example:
        >>> parse_series("38902E14B11F4548910E771EE757DC82", "s3://idc-open-data").name
        '38902e14-b11f-4548-910e-771ee757dc82'
    """
    name = text.strip(" ")
    if uuid := normalise_uuid(name):
        return SeriesName(root=root, name=uuid, kind="folder")
    if is_series_instance_uid(name):
        return SeriesName(root=root, name=name, kind="uid")
    if prefix := _parse_prefix(name):
        return SeriesName(root=root, name=prefix, kind="prefix")
    if is_location(name):
        return _parse_folder(text, endpoint_url)
    raise OptionsError(explain_unknown(text))


def explain_unknown(text: str) -> str:
    """Say what is wrong with a text that has none of the forms of a name."""
    return f"{show_text(text)} names no series: give {ACCEPTED_FORMS}"


def resolve_series(name: SeriesName, open_store: Callable[[str], SeriesListing], *, asks_idc: bool = True) -> SeriesRef:
    """Find the folder that a name means: list for a prefix, ask the IDC index for a SeriesInstanceUID.

    Args:
        name: What `parse_series` gave.
        open_store: Opens the store of a root, to list it.
        asks_idc: False to leave the IDC index out, which takes long to load.

    Returns:
        The series. Of several that begin with a prefix the first; a warning is logged with their number.

    Raises:
        StorageError: Nothing below the root has that name.
        OptionsError: A SeriesInstanceUID that only the IDC index could resolve, which is not installed.
    """
    if name.kind == "prefix":
        matches = open_store(name.root).list_series(name.name)
        if len(matches) > 1:
            _log.warning("%d series begin with %s; taking the first, %s", len(matches), name.name, matches[0])
        return SeriesRef(root=name.root, series_uuid=first_match(name, matches))
    if name.kind == "folder":
        return SeriesRef(root=name.root, series_uuid=name.name)
    if not is_idc_root(name.root) and name.name in open_store(name.root).list_series(name.name):
        return SeriesRef(root=name.root, series_uuid=name.name)
    if not asks_idc:
        raise StorageError(f"SeriesInstanceUID {name.name} is not below {name.root}", "not-found")
    return _find_in_index(name)


def first_match(name: SeriesName, matches: list[str]) -> str:
    """Return the first of the series that begin with a prefix.

    Raises:
        StorageError: There is none.
    """
    if not matches:
        raise StorageError(f"no series below {name.root} begins with {name.name}", "not-found")
    return matches[0]


def _find_in_index(name: SeriesName) -> SeriesRef:
    index = open_idc_index()
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
    if found.superseded:
        _log.warning("series %s is no longer in IDC's current version", found.series_uuid)
    return SeriesRef(root=found.root, series_uuid=found.series_uuid)


def _hyphenate(digits: str) -> str:
    return "-".join(part for part in (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]) if part)


def _parse_prefix(name: str) -> str | None:
    """Return the raw key prefix that `38902e14*` stands for; None when the text is no prefix."""
    if not name.endswith("*"):
        return None
    written = name[:-1].lower()
    digits = written.replace("-", "")
    if not HEX_DIGITS.fullmatch(digits):
        return None
    hyphenated = _hyphenate(digits)
    return written if written == f"{hyphenated}-" else hyphenated if written in (digits, hyphenated) else None


def _parse_folder(text: str, endpoint_url: str | None) -> SeriesName:
    """Split a URL or path into the root and the series folder directly below it."""
    try:
        location = parse_location(text, endpoint_url)
    except StorageError as error:
        raise OptionsError(error.message) from error
    is_folder = text.rstrip(" ").endswith(("/", "/*", "\\", "\\*"))
    if not is_folder and _ends_at_instance(location.parts):
        location = location.parent
    # A path that ends in `.` or `..` tells where a folder is, not its name.
    if not location.parts or text.replace("\\", "/").rstrip("/*").rpartition("/")[2] in (".", ".."):
        raise OptionsError(
            f"{show_text(text)} names no series folder; URLs of instances directly below a bucket name none"
        )
    # Listings of servers give decoded names, and the name of a folder is the key of its series.
    folder = unquote(location.parts[-1]) if location.is_http else location.parts[-1]
    if "/" in folder:
        raise OptionsError(f"{show_text(text)} names no series folder: there is an escaped slash in its last part")
    return _name_folder(folder, str(location.parent), text)


def _name_folder(folder: str, root: str, text: str) -> SeriesName:
    if prefix := _parse_prefix(folder):
        return SeriesName(root=root, name=prefix, kind="prefix", own_root=True)
    if "*" in folder or "*" in root:
        raise OptionsError(f"{show_text(text)} names no series: a wildcard stands at the end of hex digits only")
    if is_idc_root(root):
        uuid = normalise_uuid(folder)
        if uuid is None:
            raise OptionsError(f"{show_text(text)} names no series: the folders of {root} are UUIDs")
        folder = uuid
    return SeriesName(root=root, name=folder, kind="folder", own_root=True)


def _ends_at_instance(parts: tuple[str, ...]) -> bool:
    """Tell whether the last part of a path is an object of a series rather than its folder."""
    if parts and parts[-1].lower().endswith(".dcm"):
        return True
    return len(parts) > 1 and not _is_folder_like(parts[-1]) and _is_folder_like(parts[-2])


def _is_folder_like(part: str) -> bool:
    return _parse_prefix(part) is not None or normalise_uuid(part) is not None or is_series_instance_uid(part)
