"""What the gallery knows about the columns of result rows: their names, titles, and which it never shows."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

FACETS = {
    "collection_id": "Collection",
    "modality": "Modality",
    "body_part": "Body part",
    "manufacturer": "Manufacturer",
    "drawn_as": "Kind",
    "status": "Status",
    "reason": "Reason",
    "license": "License",
}
"""Columns that the page filters by, with their titles."""

SEARCHED = {
    "series_description": "Description",
    "study_description": "Study description",
    "patient_id": "Patient",
    "title": "Title",
}
"""Columns with many values that the page searches and sorts by."""

NUMBERS = {
    "n_instances": "Instances",
    "n_frames": "Frames",
    "study_date": "Date",
    "megabytes": "MB",
    "preview_bytes": "Bytes of the preview",
    "series_number": "Series number",
}
"""Columns that the page compares as numbers. Dates are read as the number YYYYMMDD."""

IDENTIFIERS = ("series_instance_uid", "study_instance_uid")

TILE_COLUMNS = (
    "series_uuid",
    "root",
    "folder",
    "preview",
    "grid",
    "viewer",
    "error",
    "source_doi",
    "products",
    "run",
    *FACETS,
    *SEARCHED,
    *NUMBERS,
    *IDENTIFIERS,
)
"""Columns that tiles and exports need. The others are loaded when a series is opened."""

_OTHER_NAMES = {
    "bodypartexamined": "body_part",
    "instancecount": "n_instances",
    "licenseshortname": "license",
    "seriessizemb": "megabytes",
    "sizemb": "megabytes",
}
"""Names that manifests of the Imaging Data Commons have for columns of ours."""

_OUR_NAMES = {name.replace("_", ""): name for name in TILE_COLUMNS} | _OTHER_NAMES

_PERSONAL = re.compile(
    r"(patient|person|physician|operator|mother|responsible|referring|reader|author).*names?$"
    r"|birth|address|telephone|phone|e-?mail"
)
"""Columns that may tell who a person is: a gallery is made to be shown."""


def plain_name(column: str) -> str:
    """The name by which columns are compared: SQL engines and portals differ in letter case and underscores."""
    return column.lower().removeprefix("manifest_").replace("_", "").replace(" ", "")


def is_personal(column: str) -> bool:
    """Tell whether a column may hold a person's name, birth date, address or telephone number."""
    return _PERSONAL.search(plain_name(column)) is not None


def unify_columns(columns: Mapping[str, list[Any]], hidden: Collection[str]) -> dict[str, list[Any]]:
    """Bring the columns of rows to the names of the gallery.

    What a row does not say of itself is taken from the manifest's columns.

    Args:
        columns: Column → its value in each row.
        hidden: Plain names of columns to leave out.

    Returns:
        The same values under the names of the gallery, without columns that are hidden or personal.
    """
    unified: dict[str, list[Any]] = {}
    # Our own columns come before those of the manifest, and win over them.
    for column, values in columns.items():
        plain = plain_name(column)
        name = _OUR_NAMES.get(plain, column)
        if plain in hidden or plain_name(name) in hidden or is_personal(column):
            continue
        known = unified.get(name)
        unified[name] = values if known is None else _fill(known, values)
    if "megabytes" not in hidden and "bytes_read" in unified:
        read = [bytes_read / 1e6 if bytes_read else None for bytes_read in unified["bytes_read"]]
        unified["megabytes"] = _fill(unified.get("megabytes", read), read)
    return unified


def read_number(value: Any) -> float | None:
    """Read a cell as a number; dates as YYYYMMDD; None for anything else."""
    if value is None or isinstance(value, int | float):
        return value
    text = str(value).strip()
    if re.fullmatch(r"\d{4}-\d\d-\d\d.*", text):
        text = text[:10].replace("-", "")
    try:
        return float(text)
    except ValueError:
        return None


def _fill(values: list[Any], others: Iterable[Any]) -> list[Any]:
    return [other if value in (None, "") else value for value, other in zip(values, others, strict=True)]
