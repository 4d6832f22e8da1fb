"""Rectangular regions: read from a CSV, edited, written as a CSV, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from viewer_client import run_viewer, write_series

import dsp_batch
from dsp_batch.errors import OptionsError
from dsp_batch.web.viewer.regions import ImageSize, check_regions, normalise_path

COLUMNS = ("anon_dicom_path", "ROI_coords", "num_ROI", "ROI_frames", "sop_instance_uid")


def write_csv(path: Path, *rows: Sequence[Any], columns: Sequence[str] = COLUMNS) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in rows:
            writer.writerow([each if isinstance(each, str) else json.dumps(each) for each in row])
    return str(path)


def test_a_csv_comes_out_as_it_went_in(tmp_path: Path) -> None:
    write_series(tmp_path / "s", 3)
    rows = [
        (f"{tmp_path}/s/0000.dcm", [[1, 2, 3, 4], [5, 6, 7.5, 8]], 2, [[], [0]], ""),
        ("s/./0001.dcm", [[0, 0, 16, 16]], 1, [[]], ""),
        ("elsewhere.dcm", [[2, 2, 9, 9]], 1, [[0]], "1.2.3.1.2"),
        ("not/here.dcm", [[2, 2, 9, 9]], 1, [[0]], ""),
    ]
    source = write_csv(tmp_path / "regions.csv", *rows)
    before = Path(source).read_bytes()
    with run_viewer(tmp_path / "s", annotations=source) as client:
        client.wait_for_scan()
        assert client.get("file/0/annotations").json == {
            "num_roi": 2,
            "roi_coords": [[1, 2, 3, 4], [5, 6, 7.5, 8]],
            "roi_frames": [[], [0]],
        }
        exported = client.get("annotations/export.csv")
        assert exported.headers["Content-Type"].startswith("text/csv")
        told = list(csv.DictReader(io.StringIO(exported.body.decode(), newline="")))
        assert [row["anon_dicom_path"] for row in told] == [row[0] for row in rows[:3]]
        assert [json.loads(row["ROI_coords"]) for row in told] == [row[1] for row in rows[:3]]
        assert [row["num_ROI"] for row in told] == ["2", "1", "1"]
        assert [row["sop_instance_uid"] for row in told] == ["1.2.3.1.0", "1.2.3.1.1", "1.2.3.1.2"]
    again = tmp_path / "again.csv"
    again.write_bytes(exported.body)
    with run_viewer(tmp_path / "s", annotations=again) as client:
        client.wait_for_scan()
        assert client.get("annotations/export.csv").body == exported.body
    assert Path(source).read_bytes() == before


def test_edits_live_until_they_are_exported_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    write_series(tmp_path, 1)
    with run_viewer(tmp_path) as client:
        client.wait_for_scan()
        taken = client.put("file/0/annotations", {"roi_coords": [[-5, 3, 99, 8.5]], "roi_frames": []})
        assert taken.status == 200
        assert taken.json == {"num_roi": 1, "roi_coords": [[0, 3, 16, 8.5]], "roi_frames": [[]]}
        for bad in (
            {},
            {"roi_coords": "x"},
            {"roi_coords": [[1, 2, 3]]},
            {"roi_coords": [[1, 2, 3, True]]},
            {"roi_coords": [[3, 2, 1, 4]]},
            {"roi_coords": [[20, 20, 30, 30]]},
            {"roi_coords": [[1, 2, 3, 4]], "num_roi": 2},
            {"roi_coords": [[1, 2, 3, 4]], "roi_frames": [[1]]},
            {"roi_coords": [[1, 2, 3, 4]], "roi_frames": [[], []]},
            {"roi_coords": [[1, 2, 3, 4]], "roi_frames": [["0"]]},
            {"roi_coords": [[1, 2, 3, 4]] * 1001},
        ):
            refused = client.put("file/0/annotations", bad)
            assert (refused.status, refused.json["code"]) == (400, "bad_request"), bad
        assert client.get("file/0/annotations").json == taken.json
        assert client.put("file/7/annotations", {"roi_coords": []}).status == 404
        assert client.put("file/0/annotations", {"roi_coords": []}).json["num_roi"] == 0
        assert client.get("annotations/export.csv").body.count(b"\r\n") == 1


def test_a_bad_row_costs_one_line_and_the_others_are_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_series(tmp_path / "s", 2)
    source = write_csv(
        tmp_path / "regions.csv",
        ("s/0000.dcm", "[[1,2", "1", "", ""),
        ("s/0000.dcm", [[1, 2, 3, 4]], 3, [], ""),
        ("s/0000.dcm", [[100, 100, 120, 120]], 1, [], ""),
        ("", [[1, 2, 3, 4]], 1, [], ""),
        ("s/0000.dcm", [[1, 2, 300, 4]], "", "", ""),
        ("s\\0001.dcm", [[4, 4, 8, 8]], 1, [[0, 0]], ""),
    )
    with run_viewer(tmp_path / "s", annotations=source) as client:
        client.wait_for_scan()
        assert client.get("file/0/annotations").json["roi_coords"] == [[1, 2, 16, 4]]
        assert client.get("file/1/annotations").json["roi_frames"] == [[0]]
    warnings = [record.getMessage() for record in caplog.records if "passed over" in record.getMessage()]
    assert [each.split(": ")[0] for each in warnings] == [f"{source}:{line}" for line in (2, 3, 5, 4)]
    assert "ROI_coords is no JSON" in warnings[0]
    assert "lies outside of the image of 16 rows and 16 columns" in warnings[3]


def test_a_wrong_header_is_refused_before_the_server_is_up(tmp_path: Path) -> None:
    write_series(tmp_path / "s", 1)
    source = write_csv(tmp_path / "regions.csv", columns=("anon_dicom_path", "num_ROI"))
    with pytest.raises(OptionsError, match=r"regions\.csv:1: there is no column ROI_coords"):
        dsp_batch.view(tmp_path / "s", browser=False, annotations=source)
    with pytest.raises(OptionsError, match=r"no\.csv cannot be read: No such file"):
        dsp_batch.view(tmp_path / "s", browser=False, annotations=tmp_path / "no.csv")


def test_boxes_and_frames_come_into_their_usual_form() -> None:
    size = ImageSize(rows=10, columns=20, frames=5)
    regions = check_regions({"ROI_COORDS": [[0.0, 1.5, 10, 99]], "ROI_frames": [[3, 1, 3]]}, size)
    assert regions.boxes == ((0, 1.5, 10, 20),)
    assert regions.frames == ((1, 3),)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/a/b/../c.dcm", "/a/c.dcm"),
        ("C:\\x\\y.dcm", "C:/x/y.dcm"),
        ("s3://bucket//a/./b", "S3://bucket/a/b"),
        ("file:///a/b.dcm", "/a/b.dcm"),
    ],
)
def test_paths_that_mean_the_same_are_equal(one: str, other: str) -> None:
    assert normalise_path(one, "") == normalise_path(other, "")
