"""Manifests and folders that public bug reports tell of: one test each, named after the fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_folder import DATA, needs_data
from manifest_reading import A, B, reasons, stream, urls

from dsp_batch.batch.manifest.entries import Entry
from dsp_batch.batch.manifest.read import read_manifest
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions
from dsp_batch.pipeline import draw_series
from dsp_batch.storage.store import Store

pytestmark = needs_data

REPORTS = DATA / "reports"


def read_report(name: str, root: str = "s3://idc-open-data") -> list[Entry]:
    (path,) = (REPORTS / name).iterdir()
    return list(stream(str(path), root=root, label=path.name))


def test_manifest_tcia(tmp_path: Path) -> None:
    uids = (REPORTS / "manifest-tcia" / "tcia.tcia").read_text().split()[-2:]
    for uid in uids:
        (tmp_path / uid).mkdir()

    assert urls(read_report("manifest-tcia", str(tmp_path))) == [str(tmp_path / uid) for uid in uids]


def test_manifest_gcs_bucket() -> None:
    found = urls(read_report("manifest-gcs-bucket"))

    assert found == [f"s3://idc-open-data-cr/{B}", f"s3://idc-open-data/{A}"]


def test_manifest_shell_words() -> None:
    found = read_report("manifest-shell-words")

    assert sum(isinstance(entry, SeriesRef) for entry in found) == 13
    assert reasons(found) == [
        f"s5cmd_forms.txt:{line}: a command that copies nothing ({verb}): write cp s3://bucket/UUID/* ."
        for line, verb in ((14, "ls"), (15, "rm"))
    ]


def test_manifest_comma_in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert urls(read_report("manifest-comma-in-path")) == [
        str(tmp_path / "Doe, Jane" / "CT 1"),
        str(tmp_path / "plain" / "CT 2"),
    ]


def test_nested_idc_download() -> None:
    folder = REPORTS / "nested-idc-download"
    refs = list(read_manifest(f"{folder}/"))

    assert {ref.folder for ref in refs} == {str(path.parent.relative_to(folder)) for path in folder.rglob("*.dcm")}
    drawn = [draw_series(ref, Store(ref.root), None, MosaicOptions(), ".webp") for ref in refs]
    assert [image.n_tiles for image in drawn] == [2, 2, 2]
