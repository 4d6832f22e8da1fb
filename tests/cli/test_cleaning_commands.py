"""`clear-index` and `dsp-batch clean`: what they tell, whom they ask, and what they remove."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest
from outcomes import Run

from dsp_batch.phantom.objects import PhantomSeries
from dsp_batch.phantom.series import build_mr


@pytest.fixture
def indices(preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path) -> Path:
    """The folder of the indices of two series."""
    other = build_mr(count=5, rows=32, columns=64)
    preview("build-index", ct.series_uuid, other.series_uuid, "--root", collection)
    folder = tmp_path / "default-cache" / "indices"
    assert len(list(folder.iterdir())) == 2
    return folder


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


@pytest.mark.parametrize("spelling", ["{uuid}", "{hex}", "{uuid:.8}*", "{root}/{uuid}", "{root}/{uuid}/"])
def test_the_index_of_a_series_is_removed_however_it_is_named(
    preview: Run, ct: PhantomSeries, collection: Path, indices: Path, spelling: str
) -> None:
    text = spelling.format(uuid=ct.series_uuid, hex=ct.series_uuid.replace("-", "").upper(), root=collection)

    outcome = preview("clear-index", text, "--yes")

    assert (outcome.status, outcome.stderr) == (0, "")
    assert "removed 1 file" in outcome.stdout
    assert f"{ct.series_uuid}_index.parquet" not in names_in(indices)
    assert len(names_in(indices)) == 1


def test_all_indices_are_removed(preview: Run, indices: Path) -> None:
    assert preview("clear-index", "--all", "--yes").status == 0
    assert names_in(indices) == set()


def test_only_old_indices_are_removed(preview: Run, ct: PhantomSeries, indices: Path) -> None:
    os.utime(indices / f"{ct.series_uuid}_index.parquet", (0, 0))

    preview("clear-index", "--older-than", 30, "--yes")

    assert len(names_in(indices)) == 1


def test_a_dry_run_tells_and_removes_nothing(preview: Run, indices: Path) -> None:
    outcome = preview("clear-index", "--all", "--dry-run")

    assert outcome.status == 0
    assert outcome.stdout.splitlines()[1].split()[:2] == ["indices", "2"]
    assert len(names_in(indices)) == 2


def test_where_nobody_can_be_asked_nothing_is_removed(preview: Run, indices: Path) -> None:
    outcome = preview("clear-index", "--all")

    assert outcome.status == 1
    assert "no terminal to ask on: give --yes" in outcome.stderr
    assert len(names_in(indices)) == 2


@pytest.mark.parametrize(("answer", "status", "left"), [(b"y\n", 0, 0), (b"n\n", 1, 2), (b"\n", 1, 2)])
def test_somebody_at_a_terminal_is_asked(indices: Path, answer: bytes, status: int, left: int) -> None:
    ours, theirs = pty.openpty()
    script = "import sys; from dsp_batch.cli.series import main; sys.argv = sys.argv[1:]; main()"
    command = [sys.executable, "-c", script, "dicom-series-preview", "clear-index", "--all"]
    with subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=subprocess.DEVNULL) as process:
        said = b""
        while b"[y/N]" not in said:
            assert select.select([ours], [], [], 30)[0], said
            said += os.read(ours, 4096)
        os.write(ours, answer)
        assert process.wait(timeout=30) == status
    assert b"Remove 2 files" in said
    assert len(names_in(indices)) == left


@pytest.mark.parametrize("arguments", [(), ("38902e14*", "--all")])
def test_what_to_clear_must_be_said_once(preview: Run, arguments: tuple[str, ...]) -> None:
    assert preview("clear-index", *arguments).status == 1


def test_previews_that_were_removed_are_drawn_again(
    batches: Run, ct: PhantomSeries, collection: Path, scheduler: str, tmp_path: Path
) -> None:
    manifest, cache = tmp_path / "m.txt", tmp_path / "cache"
    manifest.write_text(f"{collection}/{ct.series_uuid}\n")
    run = ("mosaic", manifest, "--cache-dir", cache, "--scheduler", scheduler)
    batches(*run)

    cleaned = batches("clean", cache, "--previews", "mosaic", "--yes")
    again = batches(*run)

    assert (cleaned.status, again.status) == (0, 0)
    assert "removed 2 files" in cleaned.stdout
    assert "1 done" in again.stdout
    assert list((cache / "previews" / "mosaic").glob("*/*.webp"))


def test_cleaning_asks_what_for(batches: Run, tmp_path: Path) -> None:
    outcome = batches("clean", tmp_path)

    assert outcome.status == 1
    assert "--runs, --previews NAME, --indices" in outcome.stderr


def test_an_empty_cache_has_nothing_to_remove(batches: Run, tmp_path: Path) -> None:
    outcome = batches("clean", tmp_path, "--runs", "--indices")

    assert outcome.status == 0
    assert "nothing to remove" in outcome.stdout


def test_previews_without_a_name_are_told_which_there_are(batches: Run, tmp_path: Path) -> None:
    product = tmp_path / "cache" / "previews" / "mosaic" / "product.json"
    product.parent.mkdir(parents=True)
    product.write_text("{}")

    outcome = batches("clean", tmp_path / "cache", "--previews", "--dry-run")

    assert outcome.status == 1
    assert "--previews needs the name of previews" in outcome.errors[0]
    assert "mosaic" in outcome.errors[0]
    assert product.exists()


def test_options_of_other_commands_are_explained(batches: Run, tmp_path: Path) -> None:
    told = batches("retry", "--cache-dir", tmp_path / "cache")
    assert (told.status, f"give {tmp_path}/cache/runs/RUN" in told.errors[0]) == (1, True)

    told = batches("export-headers", tmp_path / "cache", "out.parquet")
    assert (told.status, f"write {tmp_path}/cache -o out.parquet" in told.errors[0]) == (1, True)
