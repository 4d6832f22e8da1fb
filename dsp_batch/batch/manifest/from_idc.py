"""Writes manifests of the series of IDC that fit a selection: s5cmd commands, or a table that tells of each series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import chain
from pathlib import PurePath
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from dsp_batch.batch.manifest.write import list_lines
from dsp_batch.errors import ManifestError
from dsp_batch.idc.index import IdcIndex, require_idc_index
from dsp_batch.idc.selection import SeriesSelection, fold_value, read_values, select_series
from dsp_batch.model.series import SeriesRef

_TOLD = (
    *("collection_id", "PatientID", "Modality", "SeriesDescription", "license_short_name", "source_DOI"),
    *("StudyInstanceUID", "SeriesInstanceUID", "crdc_series_uuid", "series_aws_url"),
)
"""Columns of a table: what a caption needs, and what names the series."""

_WRITERS = {".csv": pa_csv.CSVWriter, ".parquet": pq.ParquetWriter}


class SelectedManifest(NamedTuple):
    """A manifest, as the bytes of its file."""

    data: bytes
    series: int
    """Number of series in it."""


def write_selected(selection: SeriesSelection, output: str) -> SelectedManifest:
    """Write a manifest of the series of IDC's current version that fit a selection.

    Args:
        selection: Which series are wanted.
        output: Path or URL of the file, whose suffix decides: `.csv` and `.parquet` make a table, others commands.

    Raises:
        ManifestError: As in `list_selected`.
    """
    build_writer = _WRITERS.get(PurePath(output).suffix.lower())
    if build_writer is None:
        lines = [*list_selected(selection)]
        return SelectedManifest("".join(f"{line}\n" for line in lines).encode(), len(lines))
    batches = map(_drop_nuls, _select(selection, _TOLD))
    first, sink, series = next(batches), pa.BufferOutputStream(), 0
    with build_writer(sink, first.schema) as writer:
        for batch in chain([first], batches):
            writer.write_batch(batch)
            series += batch.num_rows
    return SelectedManifest(sink.getvalue().to_pybytes(), series)


def list_selected(selection: SeriesSelection) -> Iterator[str]:
    """List the lines of a manifest of the series of IDC's current version that fit a selection: s5cmd commands.

    Raises:
        ManifestError: No series fits, IDC does not have what is asked for, or the IDC index is not installed.
    """
    for batch in _select(selection, ("aws_bucket", "crdc_series_uuid")):
        places = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        yield from list_lines(SeriesRef(f"s3://{bucket}", uuid) for bucket, uuid in places)


def _drop_nuls(batch: Any) -> Any:
    """Leave out NULs, which some descriptions are padded with and no text manifest may hold."""
    cells = [pc.replace_substring(column, "\0", "") for column in batch.columns]
    return pa.RecordBatch.from_arrays(cells, batch.schema.names)


def _select(selection: SeriesSelection, columns: Sequence[str]) -> Iterator[Any]:
    """Select series as record batches, of which there is at least one."""
    index = require_idc_index()
    _refuse_unknown(index, selection)
    found = select_series(index, selection, columns)
    first = next(found, None)
    if first is None:
        without = "; analysis results are left out unless --analysis-results include is given"
        advice = without if selection.analysis_results == "exclude" else ""
        raise ManifestError(f"no series of the IDC index fits{advice}")
    yield from chain([first], found)


def _refuse_unknown(index: IdcIndex, selection: SeriesSelection) -> None:
    """Refuse collections and modalities that IDC does not have: among others they would be left out without a word."""
    for column, wanted in (("collection_id", selection.collection_ids), ("Modality", selection.modalities)):
        known = {fold_value(column, value): value for value in read_values(index, column)} if wanted else {}
        for value in wanted:
            folded = fold_value(column, value)
            if folded not in known:
                near = [known[each] for each in get_close_matches(folded, known)]
                hint = f"; did you mean {' or '.join(near)}?" if near else ""
                raise ManifestError(f"no series of the IDC index fits: there is no {column} {value!r}{hint}")
