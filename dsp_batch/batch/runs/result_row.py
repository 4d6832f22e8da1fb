"""Rows of the results of a run: what became of each series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dsp_batch.errors import Reason
from dsp_batch.idc.index import IdcIndex, SeriesSource, find_sources
from dsp_batch.model.frame import ContextState, DrawnAs, WindowSource
from dsp_batch.model.series import SeriesRef
from dsp_batch.version import __version__

Status = Literal["done", "kept", "skipped", "failed"]


DESCRIPTIONS = ("patient_id", "study_date", "study_description", "series_description")
"""Fields that `--no-describe` leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesResult:
    """One row of the results of a run: what became of one series."""

    series_uuid: str
    root: str
    folder: str | None = None
    """Folder below the root that holds the objects of the series; None where `series_uuid` names it."""

    endpoint_url: str | None = None
    """S3-compatible server that the manifest names."""

    status: Status | Literal["waiting"]
    """What became of it. A series that waits for the images that it speaks of is drawn after them: such rows are not
    written."""

    reason: Reason | None = None
    error: str | None = None
    """The error in one line, without patient attributes."""

    notes: str | None = None
    """Sentences that say what was left out, or read otherwise than it is declared, joined by `; `."""

    series_instance_uid: str | None = None
    study_instance_uid: str | None = None
    modality: str | None = None
    sop_class: str | None = None
    viewer: str | None = None
    """Page of the series in IDC's viewers, where it is one of IDC's."""

    patient_id: str | None = None
    study_date: str | None = None
    study_description: str | None = None
    series_description: str | None = None
    series_number: int | None = None
    body_part: str | None = None
    manufacturer: str | None = None
    rows: int | None = None
    """Rows (0028,0010) of the first instance."""

    columns: int | None = None
    """Columns (0028,0011) of the first instance."""

    collection_id: str | None = None
    """Collection of the Imaging Data Commons (IDC), or of the manifest."""

    license: str | None = None
    """Short name of the license, as IDC or the manifest tells it."""

    source_doi: str | None = None
    """DOI to cite, as IDC or the manifest tells it."""

    preview: str | None = None
    """Key of the preview below the cache directory."""

    objects_digest: str | None = None
    """Digest of the names, sizes and times of the objects that the row tells of."""

    drawn_as: DrawnAs | None = None
    context: ContextState | None = None
    """What became of the image that the object speaks of; null where it needs none."""

    title: str | None = None
    """Headline of the preview in one line."""

    summary: str | None = None
    """Lines of the text that the preview shows, as a JSON list; null for an image."""

    n_items: int | None = None
    """The number that the headline of a card counts."""

    references: tuple[str, ...] | None = None
    """SeriesInstanceUIDs of the series that a series without a picture of its own refers to."""

    grid: str | None = None
    """The tiles of a preview and the frames that they show, as a JSON object."""

    n_instances: int | None = None
    n_frames: int | None = None
    n_tiles: int | None = None
    transfer_syntax: str | None = None
    window_center: float | None = None
    window_width: float | None = None
    window_source: WindowSource | None = None
    unit: str | None = None
    """Unit of the modality values and of the window: `HU`, `GY`, `BQML`, a UCUM code."""

    width: int | None = None
    height: int | None = None
    preview_bytes: int | None = None
    bytes_read: int = 0
    requests: int = 0
    seconds_headers: float = 0.0
    seconds_index: float = 0.0
    seconds_render: float = 0.0
    worker: str | None = None
    """Address of the Dask worker."""

    attempt: int = 1
    program: str | None = None
    """Version of dsp-batch that made the preview."""

    manifest_columns: Mapping[str, Any] = field(default_factory=dict)
    """The manifest's other columns."""


def build_row(ref: SeriesRef, status: Status, attempt: int, **known: Any) -> SeriesResult:
    """Make the row of a series: what its manifest tells of it, and what is known besides.

    Args:
        ref: The series.
        status: What became of it.
        attempt: Number of the attempt that makes the row.
        known: Further fields of the row.
    """
    own = {
        "series_uuid": ref.series_uuid,
        "root": ref.root,
        "folder": ref.folder,
        "endpoint_url": ref.endpoint_url,
    }
    about = {"status": status, "attempt": attempt, "manifest_columns": ref.columns}
    return SeriesResult(**{"program": __version__, **known, **own, **about})


SOURCE_COLUMNS = SeriesSource._fields
"""Columns that tell where a series comes from."""

_SOURCE_NAMES = {
    "collectionid": "collection_id",
    "license": "license",
    "licenseshortname": "license",
    "sourcedoi": "source_doi",
}
"""Columns of manifests, in small letters and without underscores → columns about the source."""


def tell_sources(rows: Sequence[SeriesResult], index: IdcIndex | None) -> list[SeriesResult]:
    """Tell in rows where their series come from: as the IDC index has it, else as the manifest says.

    Args:
        rows: The rows.
        index: The index; None where it is not installed.
    """
    known = find_sources(index, [row.series_uuid for row in rows]) if index else {}
    told = [_read_source(row.manifest_columns) | _list_known(known.get(row.series_uuid)) for row in rows]
    return [replace(row, **source) if source else row for row, source in zip(rows, told, strict=True)]


def _list_known(source: SeriesSource | None) -> dict[str, Any]:
    return {name: value for name, value in source._asdict().items() if value} if source else {}


def _read_source(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Read where a series comes from in the columns of its manifest."""
    names = {column: _SOURCE_NAMES.get(column.lower().replace("_", "")) for column in columns}
    return {name: str(columns[column]) for column, name in names.items() if name and columns[column]}
