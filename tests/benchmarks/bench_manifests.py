"""A manifest of a million lines in each of the forms that are read, into its table: seconds and memory.

python tests/benchmarks/run.py --only manifests
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import repeat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from bench_figures import Figure
from bench_places import Bench
from bench_process import run_task

_LINES = 1_000_000
_QUICK_LINES = 20_000
_BATCH = 50_000
_BUCKETS = ("idc-open-data", "idc-open-data-two", "idc-open-data-cr")
_UID = "1.3.6.1.4.1.14519.5.2.1.6834.5010."

Write = Callable[[Path, int], None]


def bench_manifests(bench: Bench) -> Iterator[Figure]:
    """Every form, in a process of its own, with an IDC index that knows every series."""
    folder, count = bench.scratch("manifests"), _QUICK_LINES if bench.is_quick else _LINES
    index = folder / "index.parquet"
    _write_index(index, count)
    for form, write in FORMS.items():
        path = folder / "manifest"
        write(path, count)
        bench.say(f"manifest: {form}")
        values = run_task("read_lines", {"path": str(path), "index": str(index)}, kind="manifests", runs=1)
        yield Figure(part="manifests", case=form, source="disk", operation="read", values=values)
        path.unlink()


def _names(count: int) -> Iterator[tuple[str, str, str]]:
    """UUID, bucket and SeriesInstanceUID of each series, the same on every call."""
    numbers = random.Random(4)  # names, not keys
    for number in range(count):
        digits = f"{numbers.getrandbits(128):032x}"
        uuid = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        yield uuid, _BUCKETS[number % 100 // 98], f"{_UID}{10**29 + numbers.getrandbits(96)}"


def _write_index(path: Path, count: int) -> None:
    text = pa.large_string()
    names = ("crdc_series_uuid", "aws_bucket", "SeriesInstanceUID")
    with pq.ParquetWriter(path, pa.schema([(name, text) for name in names])) as writer:
        for batch in _batches(_names(count)):
            writer.write_table(pa.table([pa.array(cells, text) for cells in zip(*batch, strict=True)], names))


def _batches(rows: Iterable[tuple[str, str, str]]) -> Iterator[list[tuple[str, str, str]]]:
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _lines(form: str, *, head: str = "", between: str = "\n", tail: str = "\n") -> Write:
    """Writes a text with one piece a series; `{uuid}`, `{bucket}` and `{uid}` stand for its names."""

    def write(path: Path, count: int) -> None:
        with path.open("w", encoding="utf-8") as file:
            file.write(head)
            for number, (uuid, bucket, uid) in enumerate(_names(count)):
                file.write(between if number else "")
                file.write(form.format(uuid=uuid, bucket=bucket, uid=uid))
            file.write(tail)

    return write


def _hex_digits(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{uuid.replace('-', '').upper()}\n" for uuid, _, _ in _names(count))


def _instances(path: Path, count: int) -> None:
    """Ten objects of each series, one line each."""
    with path.open("w", encoding="utf-8") as file:
        for uuid, bucket, _ in _names(count // 10):
            for number in range(10):
                file.write(f"cp s3://{bucket}/{uuid}/{number:08x}-{uuid[9:]}.dcm ./{uuid}/\n")


def _duplicates(path: Path, count: int) -> None:
    """The same series on every line."""
    (uuid, bucket, _), *_ = _names(1)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(repeat(f"cp s3://{bucket}/{uuid}/* .\n", count))


def _garbage(path: Path, count: int) -> None:
    """Nothing that names a series, but for the first line."""
    (uuid, _, _), *others = _names(count)
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{uuid}\n")
        file.writelines(f"what is {name[:23]} meant to be?\n" for name, _, _ in others)


def _parquet(path: Path, count: int) -> None:
    names = ("crdc_series_uuid", "aws_bucket", "SeriesInstanceUID", "collection_id")
    with pq.ParquetWriter(path, pa.schema([(name, pa.string()) for name in names])) as writer:
        for batch in _batches(_names(count)):
            cells = [*zip(*batch, strict=True), ["nlst"] * len(batch)]
            writer.write_table(pa.table([pa.array(each, pa.string()) for each in cells], names))


_ITEM = '{{"crdc_series_uuid": "{uuid}", "aws_bucket": "{bucket}", "collection_id": "nlst"}}'
_API_ITEM = (
    '{{"Modality": "CT", "aws_bucket": "{bucket}", "crdc_series_uuid": "{uuid}", "SeriesInstanceUID": "{uid}", '
    '"series_size_MB": 52.5}}'
)
_CELLS = ("series_uuid", "aws_bucket", "collection_id", "series_size_MB")

FORMS: Mapping[str, Write] = {
    "UUIDs": _lines("{uuid}"),
    "32 hex digits, capitals": _hex_digits,
    "s5cmd": _lines("cp s3://{bucket}/{uuid}/* .", head="# s5cmd --no-sign-request run manifest\n"),
    "s5cmd, sync to a quoted folder": _lines('sync   s3://{bucket}/{uuid}/*   "/data/a b/{uuid}"'),
    "Google twin": _lines(
        "cp s3://{bucket}/{uuid}/* .", head="# s5cmd --endpoint-url https://storage.googleapis.com run manifest\n"
    ),
    "s3 URLs": _lines("s3://{bucket}/{uuid}/*"),
    "gs URLs": _lines("gs://{bucket}/{uuid}/*"),
    "https URLs": _lines("https://{bucket}.s3.amazonaws.com/{uuid}/"),
    "folders": _lines("/data/idc/{uuid}/"),
    "instances": _instances,
    "CSV, UUID and bucket": _lines("{uuid},{bucket},nlst,52.5", head=",".join(_CELLS) + "\n"),
    "CSV, all cells quoted": _lines('"{uuid}","{bucket}","a, b","52.5"', head=",".join(_CELLS) + "\n"),
    "TSV, URL": _lines("nlst\ts3://{bucket}/{uuid}/*\tCT", head="collection_id\tseries_aws_url\tModality\n"),
    "CSV, SeriesInstanceUID": _lines("nlst,{uid},CT", head="collection_id,SeriesInstanceUID,Modality\n"),
    "headless CSV, UUID": _lines("nlst,{uuid},CT"),
    "headless CSV, URL": _lines("nlst,{uuid},s3://{bucket}/{uuid}/*,CT"),
    "SeriesInstanceUIDs": _lines("{uid}"),
    "JSON array, a line an item": _lines(_ITEM, head="[\n", between=",\n", tail="\n]\n"),
    "JSON array, one line": _lines(_ITEM, head="[", between=", ", tail="]"),
    "JSON array of texts": _lines('"s3://{bucket}/{uuid}/*"', head="[", between=", ", tail="]"),
    "JSON lines": _lines(_ITEM),
    "API v2": _lines(
        _API_ITEM, head='{"code": 200, "manifest": {"totalFound": 1, "manifest_data": [', between=",", tail="]}}"
    ),
    "API v2, indented": _lines(
        _API_ITEM, head='{\n "manifest": {\n  "manifest_data": [\n   ', between=",\n   ", tail="\n  ]\n }\n}\n"
    ),
    "Parquet": _parquet,
    "one series on every line": _duplicates,
    "garbage": _garbage,
}
"""Form → what writes it."""
