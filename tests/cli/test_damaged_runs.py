"""Files of a run that are damaged, or something else, are told in one line, whichever command meets them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from outcomes import Outcome, Run, run_here

from dsp_batch.cli import batch
from dsp_batch.phantom.objects import PhantomSeries
from dsp_batch.phantom.series import build_corrupt

COMMANDS = ("mosaic", "status", "failed", "retry")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, scheduler: str, ct: PhantomSeries, collection: Path) -> Path:
    """A folder with a manifest and the cache of a run over it, of which one series failed."""
    folder = tmp_path_factory.mktemp("original")
    (folder / "manifest.txt").write_text(
        "".join(f"{collection}/{name}/\n" for name in (ct.series_uuid, build_corrupt().series_uuid))
    )
    words = ("mosaic", folder / "manifest.txt", "--cache-dir", folder / "cache", "--scheduler", scheduler)
    assert run_here(batch.program, batch.NAME, *words).status == 1
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    shutil.copytree(original, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def command(batches: Run, scheduler: str, folder: Path) -> Callable[[str], Outcome]:
    run = next((folder / "cache" / "runs").iterdir())
    words: dict[str, tuple[object, ...]] = {
        "mosaic": ("mosaic", folder / "manifest.txt", "--cache-dir", folder / "cache", "--scheduler", scheduler),
        "status": ("status", run),
        "failed": ("status", run, "--failed"),
        "retry": ("retry", run, "--scheduler", scheduler),
    }
    return lambda name: batches(*words[name])


def assert_told(outcome: Outcome, name: str) -> None:
    """A command ends well, or with one line that names the file."""
    assert "Traceback" not in outcome.stderr
    assert "unexpected" not in outcome.stderr, outcome.stderr
    if outcome.errors:
        assert (outcome.status, len(outcome.errors)) == (1, 1)
        assert name in outcome.errors[0]


def damage_json(path: Path, changes: dict[str, Any]) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


WRONG = [b"", b"\xff\xfe\x00", b"[]", b"null", b"{", b'{"attempt": 1}', b"[" * 100_000, b"PAR1", b"\x89PNG\r\n\x1a\n"]
CHANGES: list[dict[str, Any]] = [
    {"attempt": "1"},
    {"attempt": -1},
    {"attempt": 2**40},
    {"attempt": True},
    {"since": None},
    {"generation": [1]},
    {"options": "small"},
    {"options": {"tile_width": "x"}},
    {"options": {"contrast": 3}},
    {"columns": 7},
    {"columns": [{}]},
    {"verb": ["mosaic"]},
    {"name": 5},
    {"series": "many"},
    {"timeout": "long"},
    {"seconds": "2"},
    {"left": "x"},
    {"endpoint_url": 3},
    {"verb": "draw\x1b[31m\nit"},
]


@pytest.mark.parametrize("name", ["job.json", "summary.json", "product.json"])
@pytest.mark.parametrize("data", WRONG, ids=lambda data: repr(data[:6]))
def test_a_document_that_is_none_is_told(
    command: Callable[[str], Outcome], folder: Path, name: str, data: bytes
) -> None:
    (path,) = (folder / "cache").rglob(name)

    for each in COMMANDS:
        path.write_bytes(data)
        assert_told(command(each), name if each != "failed" else "")


@pytest.mark.parametrize("name", ["job.json", "summary.json", "product.json"])
@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_a_member_of_a_wrong_kind_is_told(
    command: Callable[[str], Outcome], folder: Path, name: str, changes: dict[str, Any]
) -> None:
    (path,) = (folder / "cache").rglob(name)
    whole = path.read_bytes()

    for each in ("status", "retry"):
        path.write_bytes(whole)
        damage_json(path, changes)
        assert_told(command(each), "")


def test_a_wrong_kind_is_named(command: Callable[[str], Outcome], folder: Path) -> None:
    (path,) = (folder / "cache").rglob("job.json")
    damage_json(path, {"attempt": "x\ny"})

    (error,) = command("status").errors

    assert error.endswith("job.json is damaged (attempt is 'x\\ny'): delete it and run again")


def foreign_parts() -> dict[str, Callable[[pa.Table], bytes | pa.Table]]:
    def put(name: str, values: Any) -> Callable[[pa.Table], pa.Table]:
        return lambda table: table.set_column(table.column_names.index(name), name, pa.array([values] * len(table)))

    not_text = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
    )
    return {
        "empty": lambda _: b"",
        "no parquet": lambda _: b"what is this",
        "magic alone": lambda _: b"PAR1PAR1",
        "other table": lambda _: pa.table({"a": [1]}),
        "no status": lambda table: table.drop_columns("status"),
        "null names": put("series_uuid", None),
        "null roots": put("root", None),
        "numbers for names": put("series_uuid", 1.5),
        "null attempts": put("attempt", None),
        "texts for attempts": put("attempt", "first"),
        "large attempts": put("attempt", 2**40),
        "texts for bytes": put("bytes_read", "many"),
        "two columns of one name": lambda table: table.append_column("modality", table.column("modality")),
        "lists for errors": put("error", ["a"]),
        "bytes that are no text": lambda table: pa.concat_tables(
            [table.slice(0, 1).set_column(table.column_names.index("error"), "error", not_text)]
        ),
    }


@pytest.mark.parametrize("kind", foreign_parts())
def test_a_part_that_is_none_is_told(command: Callable[[str], Outcome], folder: Path, kind: str) -> None:
    path = next((folder / "cache").rglob("part-*.parquet"))
    made = foreign_parts()[kind](pq.ParquetFile(path).read())
    if isinstance(made, bytes):
        path.write_bytes(made)
    else:
        pq.write_table(made, path)

    outcomes = [command(each) for each in COMMANDS]
    for outcome in outcomes:
        assert_told(outcome, path.name if kind != "numbers for names" else "/results")
    assert any(outcome.errors for outcome in outcomes)


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "other table", "other columns", "part"])
def test_a_kept_manifest_that_is_none_is_told(command: Callable[[str], Outcome], folder: Path, kind: str) -> None:
    (path,) = (folder / "cache").rglob("manifest.parquet")
    whole, table = path.read_bytes(), pq.ParquetFile(path).read()
    part = next((folder / "cache").rglob("part-*.parquet")).read_bytes()
    sink = pa.BufferOutputStream()
    changed = pa.table({"a": [1]}) if kind == "other table" else table.drop_columns("root")
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), sink)
    made = {"empty": b"", "text": b"x" * 100, "cut": whole[: len(whole) // 2], "part": part}
    path.write_bytes(made.get(kind, sink.getvalue().to_pybytes()))

    outcome = command("retry")

    assert_told(outcome, "manifest.parquet")
    assert outcome.errors


def test_the_documents_of_another_run_cost_this_one_nothing(command: Callable[[str], Outcome], folder: Path) -> None:
    run = next((folder / "cache" / "runs").iterdir())
    (run.parent / "mosaic-other").mkdir()
    (run.parent / "mosaic-other" / "job.json").write_text("{")
    (folder / "manifest.txt").write_text("".join((folder / "manifest.txt").read_text().splitlines(keepends=True)[:1]))

    outcome = command("mosaic")

    assert (outcome.status, outcome.errors) == (0, [])
    assert any("mosaic-other/job.json is no JSON" in warning for warning in outcome.warnings)
