"""Find the series that a single command means. Only a name that does not say where it is leads to a scan."""

from __future__ import annotations

from dsp_batch.model.identifiers import normalise_uuid
from dsp_batch.model.series import SeriesRef
from dsp_batch.names import SeriesName, resolve_series
from dsp_batch.scan.settings import ScanSettings
from dsp_batch.storage.store import Store

# ruff: noqa: PLC0415  # what scans folders is loaded with the first name that leads to one


def find_named_series(name: SeriesName, settings: ScanSettings, series_uid: str | None = None) -> SeriesRef:
    """Find the series that a name means. Folders that are not named by a UUID are scanned.

    Args:
        name: What `find_local` or `parse_series` gave.
        settings: How the folders are scanned.
        series_uid: SeriesInstanceUID of the series that is meant where a folder holds several.

    Raises:
        StorageError: There is no such series, or it cannot be read.
        OptionsError: The folder holds several series; or as in `resolve_series`.
        SeriesError: The name is that of a file which is no DICOM instance.
    """
    if name.kind == "folder" and series_uid is None and normalise_uuid(name.name) is not None:
        return resolve_series(name, settings.open_store)
    from dsp_batch.scan.choose import choose_named_series

    return choose_named_series(name, settings, series_uid)


def find_again(ref: SeriesRef, store: Store) -> SeriesRef:
    """Find the objects of a series that an earlier scan has found, by a scan of its folder.

    Args:
        ref: The series.
        store: The store of its root.

    Raises:
        StorageError: There is no such series any more.
    """
    from dsp_batch.scan.choose import choose_again

    return choose_again(ref, store)
