"""Series of the IDC index by what they are: a collection, a modality, a patient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dsp_batch.idc.index import IdcIndex, read_batches


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSelection:
    """Which series of the index are wanted. Values of one field are alternatives, the fields narrow each other."""

    collection_ids: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    patient_ids: tuple[str, ...] = ()
    study_instance_uids: tuple[str, ...] = ()
    series_instance_uids: tuple[str, ...] = ()
    analysis_results: Literal["include", "exclude", "only"] = "exclude"
    limit: int | None = None


_FILTERS = {
    "collection_id": "collection_ids",
    "Modality": "modalities",
    "PatientID": "patient_ids",
    "StudyInstanceUID": "study_instance_uids",
    "SeriesInstanceUID": "series_instance_uids",
}
"""Column of the index → field of `SeriesSelection`."""


def select_series(index: IdcIndex, selection: SeriesSelection, columns: Sequence[str]) -> Iterator[Any]:
    """Select the series of the current version that fit, in the order of the index.

    Collections and modalities are compared without regard to case, `-` and blanks in a collection as `_`.

    Args:
        index: The index.
        selection: Which series are wanted.
        columns: Columns of the index to return.

    Yields:
        Record batches of these columns, with a row for each series.

    Raises:
        ManifestError: The index cannot be read, or lacks a column that is asked for.
    """
    left = selection.limit
    compared = [column for column, name in _FILTERS.items() if getattr(selection, name)]
    if selection.analysis_results != "include":
        compared.append("analysis_result_id")
    for batch in read_batches(index.path, [*dict.fromkeys([*columns, *compared])]):
        chosen = batch.filter(_fits(batch, selection)).slice(0, left)
        if chosen.num_rows:
            yield chosen.select([*columns])
        if left is not None:
            left -= chosen.num_rows
            if left == 0:
                return


def fold_value(column: str, value: str) -> str:
    """Bring a value into the form that is compared: of collections `RIDER Pilot` is `rider_pilot`, `ct` is `CT`."""
    if column == "collection_id":
        return value.strip().lower().replace("-", "_").replace(" ", "_")
    return value.strip().upper() if column == "Modality" else value


def read_values(index: IdcIndex, column: str) -> list[str]:
    """The different values of a column with few of them, sorted: the collections, the modalities."""
    import pyarrow.compute as pc  # noqa: PLC0415  # loaded when an index is read

    values: set[str] = set()
    for batch in read_batches(index.path, [column]):
        values.update(value for value in pc.unique(batch.column(0)).to_pylist() if value is not None)
    return sorted(values)


def _fits(batch: Any, selection: SeriesSelection) -> Any:
    import pyarrow as pa  # noqa: PLC0415  # loaded when an index is read
    import pyarrow.compute as pc  # noqa: PLC0415  # pyarrow is slow to import

    mask = pa.array(np.ones(batch.num_rows, dtype=np.bool_))
    for column, name in _FILTERS.items():
        values: tuple[str, ...] = getattr(selection, name)
        if values:
            cells = batch.column(column)
            wanted = [fold_value(column, value) for value in values]
            mask = pc.and_(mask, pc.is_in(cells, value_set=pa.array(wanted, cells.type)))
    if selection.analysis_results != "include":
        is_analysis = pc.is_valid(batch.column("analysis_result_id"))
        mask = pc.and_(mask, is_analysis if selection.analysis_results == "only" else pc.invert(is_analysis))
    return mask
