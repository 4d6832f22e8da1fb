"""`header` and `headers`: what they print and write."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from outcomes import Run

from dsp_batch.phantom.objects import PhantomSeries
from dsp_batch.phantom.series import build_report


def test_a_header_is_printed_as_dicom_json(preview: Run, ct: PhantomSeries, collection: Path) -> None:
    outcome = preview("header", ct.series_uuid, "--root", collection)

    assert (outcome.status, outcome.stderr) == (0, "")
    found = json.loads(outcome.stdout)
    assert found["00080060"] == {"vr": "CS", "Value": ["CT"]}
    assert list(found) == sorted(found)


@pytest.mark.parametrize("place", [(), ("--position", 1), ("--position", 0, "--slice-offset", 3)])
def test_position_and_offset_choose_the_instance(
    preview: Run, ct: PhantomSeries, collection: Path, place: tuple[object, ...]
) -> None:
    rows = json.loads(preview("headers", ct.series_uuid, "--root", collection).stdout)

    outcome = preview("header", ct.series_uuid, "--root", collection, *place, "--tag", "SOPInstanceUID")

    number = {0: 0, 2: -1, 4: 3}[len(place)]
    assert json.loads(outcome.stdout)["00080018"]["Value"] == [rows[number]["SOPInstanceUID"]]


def test_a_pattern_that_matches_nothing_is_told(preview: Run, ct: PhantomSeries, collection: Path) -> None:
    outcome = preview("header", ct.series_uuid, "--root", collection, "--tag", "KPV", "--tag", "Modality")

    assert list(json.loads(outcome.stdout)) == ["00080060"]
    assert "no element matches --tag KPV" in outcome.stderr


def test_a_report_has_a_header_too(preview: Run, collection: Path) -> None:
    outcome = preview("header", build_report().series_uuid, "--root", collection, "--position", 0.5)

    assert json.loads(outcome.stdout)["00080060"]["Value"] == ["SR"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("header", "s", "--slice-offset", 1), "--slice-offset goes with --position"),
        (("header", "s", "--position", 2), "--position must lie between"),
        (("headers", "s", "out.xls"), "must end in .parquet, .json, .jsonl or .csv"),
        (("headers", "s", "--format", "parquet"), "give OUT"),
        (("headers", "s", "--format", "csv", "--split-constant"), "give OUT"),
        (("headers", "s", "/nowhere/at/all.csv"), "there is no folder"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_read(
    preview: Run, arguments: tuple[object, ...], said: str
) -> None:
    outcome = preview(*arguments)

    assert outcome.status == 1
    assert said in outcome.stderr


def test_the_table_comes_from_the_cached_index(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path
) -> None:
    gone = tmp_path / "series"
    gone.symlink_to(collection)
    preview("build-index", ct.series_uuid, "--root", "https://example.invalid", "-o", tmp_path / "none.parquet")
    preview("get-index", ct.series_uuid, "--root", collection)

    outcome = preview("headers", ct.series_uuid, tmp_path / "h.parquet", "--root", collection, "-v")

    assert "header" not in [line.split(":")[0] for line in outcome.stderr.splitlines()]
    assert pq.read_table(tmp_path / "h.parquet").column("Modality").to_pylist() == ["CT"] * len(ct.objects)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_what_is_the_same_goes_into_a_second_file(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path, form: str
) -> None:
    outcome = preview("headers", ct.series_uuid, tmp_path / f"h.{form}", "--root", collection, "--split-constant")

    assert (outcome.status, outcome.stdout, outcome.stderr) == (0, "", "")
    assert sorted(path.name for path in tmp_path.glob("h.*")) == [f"h.constant.{form}", f"h.{form}"]


def test_a_tag_that_no_element_has_is_an_error_and_a_similar_keyword_is_named(
    preview: Run, ct: PhantomSeries, collection: Path
) -> None:
    words = ("header", ct.series_uuid, "--root", collection)

    mistaken = preview(*words, "--tag", "Patinet*")
    assert (mistaken.status, mistaken.stdout.strip()) == (1, "{}")
    assert "did you mean Patient" in mistaken.warnings[0]

    absent = preview(*words, "--tag", "EchoTime", "--tag", "Modality")
    assert absent.status == 0
    assert "did you mean" not in absent.warnings[0]


def test_a_folder_without_indices_exports_nothing(batches: Run, tmp_path: Path) -> None:
    outcome = batches("export-headers", tmp_path / "nothere", "-o", tmp_path / "x.parquet")

    assert (outcome.status, outcome.stdout) == (1, "")
    assert f"there are no indices in {tmp_path}/nothere" in outcome.errors[0]
    assert not [*tmp_path.glob("*x.parquet*")]


def test_a_table_that_may_not_be_written_is_explained(
    batches: Run, preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path
) -> None:
    preview("build-index", ct.series_uuid, "--root", collection)

    outcome = batches("export-headers", tmp_path / "default-cache", "-o", "/sys/h.parquet")

    assert outcome.status == 1
    assert outcome.errors[0].startswith("error: cannot write /sys/h.parquet: ")
    assert outcome.errors[0].endswith(("permission denied; choose another place", "file system; choose another place"))
