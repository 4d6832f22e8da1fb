"""`dicom-series-preview`: every error is one line on standard error and exit status 1."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import idc_tables
import pytest
from faulty_server import run_faulty_server
from outcomes import Outcome, Run, start_process
from series_to_refuse import UNDECODABLE_SYNTAX, build_undecodable

from dsp_batch.model.window import PRESETS
from dsp_batch.phantom.objects import PhantomSeries
from dsp_batch.phantom.series import build_corrupt, build_report

MISSING = "00000000-0000-0000-0000-000000000000"


def assert_error(outcome: Outcome, *words: str, usage: bool = False) -> None:
    """One line says what is wrong; a usage error may add one of usage; nothing is a traceback or a result."""
    assert outcome.status == 1
    assert outcome.stdout == ""
    lines = [line for line in outcome.stderr.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == (2 if usage else 1), outcome.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]
    if usage:
        assert lines[1].startswith("usage: dicom-series-preview ")


@pytest.fixture
def draw(preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path) -> Callable[..., Outcome]:
    """Runs a command on the CT, with further options."""

    def run(command: str, *options: object) -> Outcome:
        return preview(command, ct.series_uuid, tmp_path / "out.webp", "--root", collection, *options)

    return run


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no-such-form", ["'no-such-form'", "UUID", "prefix"]),
        ("zz*", ["'zz*'", "UUID"]),
        ("s3://bucket/../etc", [".."]),
        ("a\nb/c", ["control characters"]),
        ("", ["names no series"]),
    ],
)
def test_a_malformed_name_is_answered_with_the_accepted_forms(
    preview: Run, collection: Path, tmp_path: Path, text: str, words: list[str]
) -> None:
    assert_error(preview("mosaic", text, tmp_path / "out.webp", "--root", collection), *words)


@pytest.mark.parametrize("name", [MISSING, "0000*", f"{{root}}/{MISSING}"])
def test_a_series_that_is_not_there_is_named_with_its_root(
    preview: Run, collection: Path, tmp_path: Path, name: str
) -> None:
    outcome = preview("mosaic", name.format(root=collection), tmp_path / "out.webp", "--root", collection)

    assert_error(outcome, str(collection), name.rstrip("*").rpartition("/")[2])


def test_a_series_instance_uid_that_nobody_knows_is_an_error(
    preview: Run, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = idc_tables.write_index(tmp_path)
    for found, words in ((index, [str(collection)]), (None, ["pip install"])):
        monkeypatch.setattr("dsp_batch.names.open_idc_index", lambda found=found: found)
        outcome = preview("mosaic", "1.2.3.9", tmp_path / "out.webp", "--root", collection)
        assert_error(outcome, "1.2.3.9", "IDC index", *words)


def test_a_root_that_is_not_there_is_named(preview: Run, tmp_path: Path) -> None:
    outcome = preview("mosaic", MISSING, tmp_path / "out.webp", "--root", tmp_path / "nowhere")

    assert_error(outcome, str(tmp_path / "nowhere"))


def test_a_series_without_dicom_objects_is_an_error(preview: Run, collection: Path, tmp_path: Path) -> None:
    corrupt = build_corrupt().series_uuid

    outcome = preview("mosaic", corrupt, tmp_path / "out.webp", "--root", collection)

    assert_error(outcome, corrupt, "2 objects")
    assert len(outcome.warnings) <= 1


def test_a_series_without_pixels_is_named_with_its_sop_class(preview: Run, collection: Path, tmp_path: Path) -> None:
    report = build_report().series_uuid

    outcome = preview("mosaic", report, tmp_path / "out.webp", "--root", collection)

    assert_error(outcome, report)
    assert re.search(r"Structured Report|\bSR\b|1\.2\.840\.10008\.5\.1\.4\.1\.1\.88", outcome.stderr)


def test_an_undecodable_transfer_syntax_is_named(preview: Run, collection: Path, tmp_path: Path) -> None:
    series = build_undecodable().series_uuid

    outcome = preview("mosaic", series, tmp_path / "out.webp", "--root", collection)

    assert_error(outcome, UNDECODABLE_SYNTAX, series)
    assert not (tmp_path / "out.webp").exists()


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("out.gif", [".webp", ".jpg", ".jpeg", "out.gif"]),
        ("webp", [".webp"]),
        ("missing/out.webp", ["missing", "create"]),
        ("folder.webp", ["folder"]),
        ("new.webp/", ["folder"]),
        ("https://127.0.0.1:9/out.webp", ["https://127.0.0.1:9/out.webp", "only read"]),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_anything_is_read(
    preview: Run, tmp_path: Path, output: str, words: list[str]
) -> None:
    (tmp_path / "folder.webp").mkdir()
    place = output if "://" in output else f"{tmp_path}/{output}"

    outcome = preview("mosaic", MISSING, place, "--root", tmp_path / "nowhere", "-v")

    assert outcome.status == 1
    assert all(word in outcome.errors[-1] for word in words)
    assert "nowhere" not in outcome.stderr


def test_an_output_that_cannot_be_written_is_an_error(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path
) -> None:
    too_long = tmp_path / f"{'x' * 300}.webp"

    assert_error(preview("mosaic", ct.series_uuid, too_long, "--root", collection), "cannot write", "too long")


def test_a_cache_that_cannot_be_written_is_an_error(draw: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    assert_error(draw("mosaic", "--cache-dir", tmp_path / "file"), "cannot write", str(tmp_path / "file"))


@pytest.mark.parametrize("contrast", ["purple", "-500", "0/40", "-1500/500", "nan/40", "350/inf", "350", ""])
def test_an_unknown_contrast_is_answered_with_the_names(draw: Callable[..., Outcome], contrast: str) -> None:
    assert_error(draw("mosaic", "--contrast", contrast), repr(contrast), "auto", "embedded", *PRESETS)


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        ("mosaic", ["--image-width", "0"], ["--image-width"]),
        ("mosaic", ["--tile-width", "-1"], ["--tile-width"]),
        ("mosaic", ["--tile-height", "0"], ["--tile-height"]),
        ("mosaic", ["--quality", "101"], ["--quality"]),
        ("mosaic", ["-q", "-1"], ["--quality"]),
        ("mosaic", ["--start", "0.6", "--end", "0.4"], ["--start", "--end"]),
        ("mosaic", ["--start", "nan"], ["--start"]),
        ("mosaic", ["--end", "1.5"], ["--end"]),
        ("get-image", ["--position", "1.1"], ["--position"]),
        ("get-image", ["--position", "nan"], ["--position"]),
        ("contrast-mosaic", ["--contrast", "lung"], ["--position", "--start"]),
        ("contrast-mosaic", ["--contrast", "lung", "--position", "0", "--start", "0"], ["--position", "--start"]),
        ("contrast-mosaic", ["--contrast", "lung", "--start", "0", "--slice-offset", "1"], ["--slice-offset"]),
        ("contrast-mosaic", ["--contrast", "lung", "--contrast", "x", "--start", "0"], ["'x'"]),
    ],
)
def test_a_value_out_of_bounds_is_refused_before_anything_is_read(
    preview: Run, tmp_path: Path, command: str, options: list[str], words: list[str]
) -> None:
    outcome = preview(command, MISSING, tmp_path / "out.webp", "--root", tmp_path / "nowhere", *options)

    assert_error(outcome, *words)
    assert "nowhere" not in outcome.stderr


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        ("mosaic", ["--image-width", "wide"], ["--image-width", "'wide'"]),
        ("mosaic", ["--max-workers", "0"], ["--max-workers"]),
        ("mosaic", ["--no-such-option"], ["--no-such-option"]),
        ("mosaic", ["--no-cache", "--cache-dir", "x"], ["--no-cache", "--cache-dir"]),
        ("mosaic", ["one-more"], ["one-more"]),
        ("get-image", [], ["--position"]),
        ("contrast-mosaic", ["--position", "0.5"], ["--contrast"]),
        ("contrast-mosaic", ["--contrast", "lung", "--position", "0", "--end", "1"], ["--end", "--position"]),
    ],
)
def test_a_usage_error_adds_one_line_of_usage(
    draw: Callable[..., Outcome], command: str, options: list[str], words: list[str]
) -> None:
    assert_error(draw(command, *options), *words, usage=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["build-index"], ["SERIES"]),
        (["build-index", MISSING, "--no-cache"], ["--no-cache", "-o"]),
        (["build-index", MISSING, "-o", "x", "--cache-dir", "y"], ["--output", "--cache-dir"]),
        (["build-index", MISSING, MISSING[:-1] + "1", "-o", "x"], ["--output", "one series"]),
        (["get-index", MISSING, "--no-cache"], ["--no-cache"]),
        (["mosaik", MISSING, "out.webp"], ["'mosaik'"]),
        (["--no-such-option"], ["--no-such-option"]),
        (["--quality", "3", "mosaic", MISSING, "out.webp"], ["mosaic", "after the command"]),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(preview: Run, arguments: list[str], words: list[str]) -> None:
    assert_error(preview(*arguments), *words, usage=True)


def test_the_limit_of_an_index_must_be_positive(preview: Run) -> None:
    assert_error(preview("build-index", MISSING, "--limit", 0), "--limit")


def test_an_index_file_in_a_missing_folder_is_refused_before_anything_is_read(preview: Run, tmp_path: Path) -> None:
    output = tmp_path / "missing" / "index.parquet"

    assert_error(preview("build-index", MISSING, "--root", tmp_path / "nowhere", "-o", output), str(output.parent))


def test_an_offset_out_of_bounds_is_answered_with_the_valid_ones(draw: Callable[..., Outcome]) -> None:
    assert_error(draw("get-image", "--position", 0, "--slice-offset", 12), "12", "0 and 11")
    assert_error(draw("get-image", "--position", 1, "--slice-offset", 1), "-11 and 0")


def test_a_range_without_a_frame_is_an_error(draw: Callable[..., Outcome]) -> None:
    assert_error(draw("mosaic", "--start", 0.01, "--end", 0.02), "0.01", "0.02")


@pytest.mark.parametrize("status", ["403", "404"])
def test_access_denied_says_how_the_request_was_made(preview: Run, tmp_path: Path, status: str) -> None:
    with run_faulty_server({}) as server:
        server.faults[:] = [status] * 100
        outcome = preview(
            "mosaic", f"s3://bucket/{MISSING}", tmp_path / "out.webp", "--endpoint-url", server.url, "--anon"
        )

    assert_error(outcome, "s3://bucket", "anonymous" if status == "403" else "")
    assert len(server.requests) == 1


def test_a_dead_server_is_one_line_after_the_retries(
    preview: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsp_batch.storage.retry.FIRST_DELAY", 0.001)
    with run_faulty_server({}) as server:
        pass

    outcome = preview("mosaic", f"{server.url}/{MISSING}", tmp_path / "out.webp")

    assert_error(outcome, server.url, "6 attempts")


def test_ctrl_c_exits_130_and_leaves_no_partial_file(ct: PhantomSeries, tmp_path: Path) -> None:
    objects = {f"/bucket/{ct.series_uuid}/{each.name}": each.data for each in ct.objects}
    with run_faulty_server(objects) as server:
        server.faults[:] = ["", *["hang"] * 100]
        with start_process(
            "dicom-series-preview", "mosaic", f"s3://bucket/{ct.series_uuid}", "out.webp",
            "--endpoint-url", server.url, "--anon", "--cache-dir", "cache", cwd=tmp_path,
        ) as process:  # fmt: skip
            wait_until(lambda: len(server.requests) > 1)
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=20)

    assert (process.returncode, stdout) == (130, "")
    assert "Traceback" not in stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)
