"""Manifests of all forms: lines, tables, JSON items and Parquet → series, rejected lines, and the table of a run."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from case import Case, Target
from chance import TEXTS, Chance
from data_folder import DATA
from manifest_reading import INSTANCE, A, B, find_one_series, stream

from dsp_batch.batch.manifest.lookup import Folders, Lookup
from dsp_batch.batch.manifest.rejected import RejectedLine
from dsp_batch.batch.manifest.table import ManifestBuilder, parse_manifest, serialize_manifest
from dsp_batch.errors import StorageError
from dsp_batch.model.series import SeriesRef
from dsp_batch.scan.folder_scan import ALL_FOLDERS
from dsp_batch.storage.store import Store

_LINES = (
    f"cp s3://idc-open-data/{A}/* .", f"s5cmd --no-sign-request cp s3://b/{B}/* ./x", f"s3://idc-open-data/{A}/", A,
    B.upper(), f"https://host/path/{A}/{INSTANCE}.dcm", f"/data/{A}", f"./Doe, Jane/{B}", "389*", "1.3.6.1.4.1.14519.5",
    "folder/CT 1", "# s5cmd --no-sign-request --endpoint-url https://storage.googleapis.com run x", f"gs://b/{A}/",
    "downloadServerUrl=https://x/y", "ListOfSeriesToDownload=", f"aws s3 sync s3://b/{B} .", f"$ s5cmd ls s3://b/{A}/",
    "", "# a comment", "crdc_series_uuid,aws_bucket,collection", f"{A},idc-open-data,x", f'"{B}","b, c",""', "~",
    f"series_aws_url\ts3://b/{A}/*", "http://[::1", "# --endpoint-url http://[::1/", "s3://", "~nobody/x",
    f"s3://b/../{A}", f"http://u:p@h/{A}",
)  # fmt: skip
_COLUMNS = (
    "crdc_series_uuid",
    "series_aws_url",
    "SeriesInstanceUID",
    "aws_bucket",
    "gcs_bucket",
    "PatientID",
    "root",
    "x",
)


def make(chance: Chance) -> Case:
    """Make a manifest of one of the forms, and change its bytes now and then."""
    data = chance.choice((_make_lines, _make_lines, _make_table, _make_json, _make_parquet, _take_real))(chance)
    return Case(data=chance.spoil(data) if chance.one_in(3) else data)


def _make_lines(chance: Chance) -> bytes:
    lines = [
        chance.choice((chance.choice(_LINES), chance.choice(_LINES), chance.text()))
        for _ in range(chance.randint(0, 12))
    ]
    text = chance.choice(("\n", "\r\n", "\0", "\n\n")).join(lines)
    return text.encode(chance.choice(("utf-8", "utf-8", "utf-16", "latin-1")), "replace")


def _make_table(chance: Chance) -> bytes:
    names = [chance.choice((*_COLUMNS, chance.text())) for _ in range(chance.randint(1, 4))]
    rows = [[chance.choice((A, B, *_LINES, chance.text())) for _ in names] for _ in range(chance.randint(0, 6))]
    separator, quote = chance.choice(",;\t"), chance.choice(('"', '"', ""))
    return "\n".join(separator.join(f"{quote}{cell}{quote}" for cell in row) for row in [names, *rows]).encode(
        errors="replace"
    )


def _make_value(chance: Chance, depth: int = 0) -> Any:
    if depth < 3 and chance.one_in(4):
        return [_make_value(chance, depth + 1) for _ in range(chance.randint(0, 3))]
    if depth < 3 and chance.one_in(4):
        return {
            chance.choice((*_COLUMNS, chance.text())): _make_value(chance, depth + 1)
            for _ in range(chance.randint(0, 3))
        }
    return chance.choice((A, B, *_LINES, chance.text(), None, True, chance.number(), chance.real()))


def _make_json(chance: Chance) -> bytes:
    items = [_make_value(chance) for _ in range(chance.randint(0, 5))]
    whole: Any = items if not chance.one_in(4) else {"items": items, chance.text(): _make_value(chance)}
    if chance.one_in(4):
        return "\n".join(json.dumps(item) for item in items).encode()
    return json.dumps(whole).encode() if not chance.one_in(40) else b"[" * 60_000


def _make_parquet(chance: Chance) -> bytes:
    rows = chance.randint(0, 4)
    columns: dict[str, Any] = {}
    for name in chance.some(_COLUMNS, 4):
        kind = chance.choice(("text", "number", "list", "bytes", "date"))
        texts = [chance.choice((A, B, *_LINES)) for _ in range(rows)]
        columns[name] = {
            "text": pa.array(texts, pa.string()),
            "number": pa.array([chance.number() % (1 << 62) for _ in range(rows)], pa.int64()),
            "list": pa.array([[text] for text in texts], pa.list_(pa.string())),
            "bytes": pa.array([text.encode() + chance.bytes(3) for text in texts], pa.binary()),
            "date": pa.array([chance.randrange(10**6) for _ in range(rows)], pa.timestamp("us")),
        }[kind]
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def _take_real(chance: Chance) -> bytes:
    found = sorted(path for path in DATA.glob("*/manifest-*") if path.is_file()) if DATA.is_dir() else []
    found += sorted(path for path in DATA.glob("reports/manifest-*/*") if path.is_file()) if DATA.is_dir() else []
    return chance.choice(found).read_bytes() if found else chance.choice(TEXTS).encode(errors="replace")


def _find(folders: Folders, unlisted: dict[str, StorageError]) -> Iterator[SeriesRef]:
    """Find a series in each folder that a line names, and none below a whole root, which may be anywhere."""
    return iter(()) if folders.names == ALL_FOLDERS else find_one_series(folders, unlisted)


def attempt(case: Case, folder: Path) -> None:
    """Read the manifest; what it rejects is told in lines, and what it names comes back from the table of a run."""
    path = folder / "manifest.txt"
    path.write_bytes(case.data)
    (folder / "root" / A).mkdir(parents=True, exist_ok=True)
    # Every root is this one: prefixes and SeriesInstanceUIDs are looked up, and no server is asked.
    lookup = Lookup(index=None, store_of=lambda _root, _endpoint: Store(str(folder / "root")), scan=_find)
    builder = ManifestBuilder("manifest.txt")
    refs = []
    for entry in stream(str(path), lookup, label="manifest.txt"):
        builder.add(entry)
        if isinstance(entry, SeriesRef):
            refs.append(entry.url)
        elif isinstance(entry, RejectedLine) and not str(entry).isprintable():
            raise AssertionError(f"a line of several: {entry!s}")
    kept = parse_manifest(serialize_manifest(builder.finish()))
    if [ref.url for ref in kept.series()] != refs:
        raise AssertionError("the table of the run names other series")


TARGET = Target("manifests", make, attempt)
