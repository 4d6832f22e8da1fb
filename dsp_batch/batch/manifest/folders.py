"""Lines that name folders which no UUID names: they stand for the series in these, which a scan finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeGuard
from urllib.parse import unquote

from dsp_batch.batch.manifest.entries import Surroundings
from dsp_batch.batch.manifest.rejected import RejectedLine, reject
from dsp_batch.errors import StorageError
from dsp_batch.model.identifiers import normalise_uuid
from dsp_batch.model.series import SeriesRef
from dsp_batch.scan.folder_scan import ALL_FOLDERS
from dsp_batch.scan.identity import find_common_folder


class Folders(NamedTuple):
    """Folders of one root that are scanned together."""

    root: str
    endpoint_url: str | None
    """S3-compatible server that the manifest names for them; None for the default."""

    names: Sequence[str] = ALL_FOLDERS
    """Names below the root."""


Scan = Callable[[Folders, dict[str, StorageError]], Iterator[SeriesRef]]
"""Folders → the series in them, at any depth. The dictionary takes the errors of folders that cannot be listed."""


def scan_lines(
    lines: Sequence[SeriesRef | RejectedLine], surroundings: Surroundings, scan: Scan
) -> Iterator[SeriesRef | RejectedLine]:
    """Put in the place of each folder that is not named by a UUID the series in it."""
    folders = [line for line in lines if _is_folder(line)]
    tops = _find_tops(folders)
    found: dict[tuple[str, str | None], dict[str, list[SeriesRef]]] = {}
    for folder in folders:
        top, name = _name_below(folder, tops)
        found.setdefault((top, folder.endpoint_url), {})[name] = []
    errors = {place: _scan_folders(*place, series, scan) for place, series in found.items()}
    for line in lines:
        if not _is_folder(line):
            yield line
            continue
        top, name = _name_below(line, tops)
        series = found[top, line.endpoint_url][name]
        for ref in series:
            yield ref._replace(endpoint_url=line.endpoint_url, columns=line.columns, line=line.line)
        if not series:
            error = errors[top, line.endpoint_url].get(name)
            reason = error.message if error else f"no DICOM series below {line.url}: check the name"
            yield reject(line.line or 0, line.url, surroundings.source, reason)


def _find_tops(folders: Iterable[SeriesRef]) -> dict[tuple[str, str | None], str]:
    """Find the folder that holds all folders of a bucket, a host or a folder at the top of this machine.

    They are scanned together, so that a series which is spread over several of them is one.

    Returns:
        Root and S3-compatible server of a folder → the root that it is scanned below.
    """
    groups: dict[tuple[str, str | None], list[tuple[str, str | None]]] = {}
    for root, endpoint_url in dict.fromkeys((line.root, line.endpoint_url) for line in folders):
        head, mark, path = root.rpartition("://")
        top = f"{head}{mark}{'/'.join(path.split('/')[: 1 if mark else 2])}"
        groups.setdefault((top, endpoint_url), []).append((root, endpoint_url))
    return {place: find_common_folder(root for root, _ in places) for places in groups.values() for place in places}


def _name_below(line: SeriesRef, tops: Mapping[tuple[str, str | None], str]) -> tuple[str, str]:
    """Tell the root that a folder is scanned below, and its name from there."""
    top = tops[line.root, line.endpoint_url]
    above = line.root[len(top) :].strip("/")
    above = unquote(above) if _is_http(top) else above
    return top, f"{above}/{line.series_uuid}".lstrip("/")


def _is_http(root: str) -> bool:
    """Tell whether a root has escapes where names have none."""
    return root.startswith(("http://", "https://"))


def _scan_folders(
    root: str, endpoint_url: str | None, found: Mapping[str, list[SeriesRef]], scan: Scan
) -> Mapping[str, StorageError]:
    """Scan the folders of one root, and add each series to those that hold any of it.

    Returns:
        The errors of folders that could not be scanned.
    """
    unlisted: dict[str, StorageError] = {}
    # A folder within another one is walked with that.
    names = [name for name in found if found.keys().isdisjoint(_list_above(name.rpartition("/")[0]))]
    top = unquote(root) if _is_http(root) else root
    try:
        for ref in scan(Folders(root, endpoint_url, names), unlisted):
            inside = (unquote(ref.url) if _is_http(root) else ref.url).removeprefix(top).strip("/")
            holders = [name for name in _list_above(inside) if name in found]
            # A series that is spread over several folders lies in what holds them all.
            for name in holders or [name for name in found if not inside or name.startswith(f"{inside}/")]:
                found[name].append(ref)
    except StorageError as error:
        unlisted |= {name: error for name, series in found.items() if not series and name not in unlisted}
    return unlisted


def _list_above(name: str) -> Iterator[str]:
    """List a folder and all folders above it, without the root."""
    while name:
        yield name
        name = name.rpartition("/")[0]


def _is_folder(line: SeriesRef | RejectedLine) -> TypeGuard[SeriesRef]:
    """Tell whether a line names a folder in which series must be looked for."""
    return isinstance(line, SeriesRef) and line.folder is None and normalise_uuid(line.series_uuid) is None
