"""A small IDC index of the same columns as the real one."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dsp_batch.idc.index import IdcIndex

CT = "085e85b3-3780-47f6-8538-585bcca95336"
MR = "f9917c52-a74e-4cc8-8c2a-4df77e82a19c"
SEG = "11111111-2222-4333-8444-555555555500"
SR = "00000000-2222-4333-8444-555555555555"
RAW = "22222222-2222-4333-8444-555555555555"
OLD_CT = "33333333-2222-4333-8444-555555555555"
OLDER_CT = "44444444-2222-4333-8444-555555555555"
REMOVED = "55555555-2222-4333-8444-555555555555"

CT_UID = "1.3.6.1.4.1.14519.5.2.1.6834.5010.155488857019753544209698582121"
MR_UID = "1.3.6.1.4.1.14519.5.2.1.6834.5010.237212468600614955862231738999"
REMOVED_UID = "1.2.3.4"

_STORAGE = "1.2.840.10008.5.1.4.1.1"
_COLUMNS = [
    "crdc_series_uuid",
    "aws_bucket",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "collection_id",
    "PatientID",
    "Modality",
    "SOPClassUID",
    "TransferSyntaxUID",
    "instanceCount",
    "series_size_MB",
    "analysis_result_id",
]
_ROWS = [
    (CT, "idc-open-data", CT_UID, "1.1", "4d_lung", "p1", "CT", f"{_STORAGE}.2", "1.2.840.10008.1.2.1", 50, 26.4, None),
    (MR, "idc-open-data-cr", MR_UID, "1.1", "4d_lung", "p1", "MR", f"{_STORAGE}.4", "1.2.840.10008.1.2", 2, 1.0, None),
    (
        SEG,
        "idc-open-data",
        "1.2.5",
        "1.1",
        "nlst",
        "p2",
        "SEG",
        f"{_STORAGE}.66.4",
        "1.2.840.10008.1.2.1",
        1,
        89.0,
        "TS",
    ),
    (SR, "idc-open-data", "1.2.6", "1.2", "nlst", "p2", "SR", f"{_STORAGE}.88.33", "1.2.840.10008.1.2.1", 1, 0.5, "TS"),
    (
        RAW,
        "idc-open-data-two",
        "1.2.7",
        "1.2",
        "nlst",
        "p3",
        "CT",
        f"{_STORAGE}.66",
        "1.2.840.10008.1.2.1",
        9000,
        1e4,
        None,
    ),
]
_TOLD = {"SeriesDescription": 'thin, "lung"\0', "license_short_name": "CC BY 4.0", "source_DOI": "10.7937/k9"}
_PRIOR_COLUMNS = [
    "crdc_series_uuid",
    "aws_bucket",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "collection_id",
    "PatientID",
    "Modality",
    "series_size_MB",
    "min_idc_version",
    "max_idc_version",
]
_PRIOR_ROWS = [
    (OLDER_CT, "idc-open-data-two", CT_UID, "1.1", "4d_lung", "p1", "CT", 20.0, 1, 3),
    (OLD_CT, "idc-open-data", CT_UID, "1.1", "4d_lung", "p1", "CT", 21.0, 4, 9),
    (OLDER_CT, "idc-open-data-two", REMOVED_UID, "1.9", "gone", "p9", "CT", 20.0, 1, 3),
    (REMOVED, "idc-open-data-cr", REMOVED_UID, "1.9", "gone", "p9", "CT", 20.0, 4, 9),
]


def write_index(folder: Path, *, large: bool = True) -> IdcIndex:
    """Write the index and its table of prior versions.

    Args:
        folder: Where to.
        large: With 64-bit offsets in its text columns, as the package has had them since 2025, else with 32-bit ones.
    """
    text = pa.large_string() if large else pa.string()
    types = {"instanceCount": pa.int64(), "series_size_MB": pa.float64()}
    types |= {"min_idc_version": pa.int64(), "max_idc_version": pa.int64()}
    current = [*_COLUMNS, "series_aws_url", *_TOLD]
    series = [(*row, f"s3://{row[1]}/{row[0]}/*", *_TOLD.values()) for row in _ROWS]
    for name, columns, rows in (("idc", current, series), ("prior", _PRIOR_COLUMNS, _PRIOR_ROWS)):
        cells = zip(*rows, strict=True)
        arrays = [pa.array(values, types.get(column, text)) for column, values in zip(columns, cells, strict=True)]
        pq.write_table(pa.table(arrays, names=columns), folder / f"{name}.parquet")
    return IdcIndex(path=folder / "idc.parquet", prior_path=folder / "prior.parquet")
