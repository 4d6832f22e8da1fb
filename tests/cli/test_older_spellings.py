"""Older spellings of `dicom-series-preview`: they work, and say in one line what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from outcomes import Outcome, Run

from dsp_batch.phantom.objects import PhantomSeries

Write = Callable[..., tuple[Outcome, bytes]]


@pytest.fixture
def write(preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path) -> Write:
    """Runs the program with the series, an output and further arguments; gives what it wrote too."""

    def run(*before: object, after: tuple[object, ...] = ()) -> tuple[Outcome, bytes]:
        output = tmp_path / "out.webp"
        outcome = preview(*before, "--root", collection, ct.series_uuid, output, *after)
        return outcome, output.read_bytes() if output.exists() else b""

    return run


@pytest.mark.parametrize(
    ("older", "command"),
    [
        (["--tile-width", "2"], ["mosaic", "--tile-width", "2"]),
        (["--position", "0.25"], ["get-image", "--position", "0.25"]),
        (["--position=0.25", "--slice-offset", "-1"], ["get-image", "--position=0.25", "--slice-offset", "-1"]),
    ],
)
def test_without_a_command_the_options_choose_it(write: Write, older: list[str], command: list[str]) -> None:
    first, image = write(*older)
    second, same = write(*command)

    assert (first.status, len(first.warnings), len(first.stderr.splitlines())) == (0, 1, 1)
    assert f"write dicom-series-preview {command[0]}" in first.warnings[0]
    assert (second.status, second.stderr) == (0, "")
    assert image == same != b""


def test_without_a_command_options_may_come_last(write: Write) -> None:
    outcome, image = write(after=("--image-width", "20"))

    assert (outcome.status, len(outcome.warnings)) == (0, 1)
    assert image


@pytest.mark.parametrize("command", [["mosaic"], ["get-image", "--position", "0.5"]])
@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (["--contrast-preset", "lung"], "lung"),
        (["--window-width", "1500", "--window-center", "-500"], "1500/-500"),
    ],
)
def test_an_older_contrast_is_the_newer_one(write: Write, command: list[str], older: list[str], newer: str) -> None:
    first, image = write(*command, *older)
    second, same = write(*command, "--contrast", newer)

    assert (first.status, len(first.warnings), len(first.stderr.splitlines())) == (0, 1, 1)
    assert f"--contrast {newer}" in first.warnings[0]
    assert (second.status, second.stderr) == (0, "")
    assert image == same != b""


@pytest.mark.parametrize(
    "options",
    [
        ["--window-width", "350"],
        ["--window-center", "40"],
        ["--contrast", "lung", "--contrast-preset", "bone"],
        ["--contrast-preset", "bone", "--window-width", "350", "--window-center", "40"],
    ],
)
def test_half_a_window_and_two_contrasts_are_errors(write: Write, options: list[str]) -> None:
    outcome, image = write("mosaic", *options)

    assert (outcome.status, len(outcome.errors), image) == (1, 1, b"")


def test_an_older_window_is_checked_like_a_contrast(write: Write) -> None:
    outcome, _ = write("mosaic", "--window-width", "wide", "--window-center", "40")

    assert outcome.status == 1
    assert "'wide/40'" in outcome.errors[0]


def test_an_index_file_may_come_second(preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path) -> None:
    output = tmp_path / "index.parquet"

    outcome = preview("build-index", ct.series_uuid, output, "--root", collection)

    assert (outcome.status, len(outcome.warnings), len(outcome.stderr.splitlines())) == (0, 1, 1)
    assert f"-o {output}" in outcome.warnings[0]
    assert pq.read_metadata(output).num_rows == 12


def test_one_word_is_no_older_spelling(preview: Run) -> None:
    outcome = preview("mosaik")

    assert outcome.status == 1
    assert "no such command 'mosaik'" in outcome.errors[0]
    assert outcome.warnings == []
