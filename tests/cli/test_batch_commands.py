"""`dsp-batch`: what its verbs write and print, on a scheduler of this process or a cluster of their own."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from faulty_server import run_faulty_server
from outcomes import Outcome, Run, start_process
from time_limits import SECONDS, read_until

from dsp_batch.batch.runs.results import read_results
from dsp_batch.phantom.objects import PhantomSeries
from dsp_batch.phantom.series import build_mr, build_report, write_collection

MISSING = "00000000-0000-0000-0000-000000000000"

VERBS = {
    "mosaic": (),
    "get-image": ("--position", 0.5),
    "contrast-mosaic": ("--contrast", "lung", "--contrast", "auto", "--start", 0),
    "cine": ("--frames", 8, "--fps", 5),
}


@pytest.fixture
def manifest(tmp_path: Path, ct: PhantomSeries, collection: Path) -> Path:
    """Two series that can be drawn and one that has no pixels."""
    series = (ct, build_mr(count=5, rows=32, columns=64), build_report())
    path = tmp_path / "manifest.txt"
    path.write_text("# three series\n" + "".join(f"{collection}/{each.series_uuid}/\n" for each in series))
    return path


@pytest.fixture
def start(batches: Run, scheduler: str, tmp_path: Path) -> Callable[..., Outcome]:
    """Runs a command on the scheduler, into a cache directory of the test."""

    def run(verb: str, source: object, *options: object, stdin: bytes | None = None) -> Outcome:
        common = ("--cache-dir", tmp_path / "cache", "--scheduler", scheduler)
        return batches(verb, source, *common, *options, stdin=stdin)

    return run


def run_folder(outcome: Outcome) -> Path:
    """Where the last line says that the results are."""
    return Path(outcome.stdout.splitlines()[-1].rpartition(" results in ")[2])


def assert_error(outcome: Outcome, *words: str) -> None:
    """One line says what is wrong, and nothing is a result."""
    assert (outcome.status, outcome.stdout) == (1, "")
    assert len(outcome.errors) == 1, outcome.stderr
    assert "Traceback" not in outcome.stderr
    for word in words:
        assert word in outcome.errors[0]


def test_a_run_prints_its_account_last(start: Callable[..., Outcome], manifest: Path, tmp_path: Path) -> None:
    outcome = start("mosaic", manifest)

    assert outcome.status == 0
    account = "3 series: 2 done, 0 kept, 1 skipped, 0 failed; lines: 0 rejected, 0 duplicate; results in "
    assert outcome.stdout.startswith(f"{account}{tmp_path}/cache/runs/mosaic-mosaic-")
    assert len(outcome.stdout.splitlines()) == 1
    assert (run_folder(outcome) / "summary.json").exists()
    assert "1 worker\n" in outcome.stderr  # without an address: no dashboard is served


@pytest.mark.parametrize("verb", VERBS)
def test_a_manifest_gives_the_same_bytes_as_the_single_command(
    start: Callable[..., Outcome], preview: Run, ct: PhantomSeries, tmp_path: Path, verb: str
) -> None:
    write_collection(tmp_path / "root", [ct])
    common = ("--root", tmp_path / "root", *VERBS[verb])

    many = start(verb, "-", *common, stdin=ct.series_uuid.encode())
    single = preview(verb, ct.series_uuid, tmp_path / "single.webp", *common)

    assert (many.status, single.status) == (0, 0)
    written = tmp_path / "cache" / "previews" / verb / ct.series_uuid[:2] / f"{ct.series_uuid}.webp"
    assert written.read_bytes() == (tmp_path / "single.webp").read_bytes()


def test_indices_are_built_for_every_series(
    start: Callable[..., Outcome], manifest: Path, ct: PhantomSeries, tmp_path: Path
) -> None:
    outcome = start("build-index", manifest)

    assert outcome.status == 0
    assert outcome.stdout.startswith("3 series: 3 done, ")
    index = tmp_path / "cache" / "indices" / f"{ct.series_uuid}_index.parquet"
    assert pq.read_metadata(index).num_rows == 12
    assert not (tmp_path / "cache" / "previews").exists()


def test_a_series_that_fails_makes_the_exit_status_1(
    start: Callable[..., Outcome], collection: Path, tmp_path: Path
) -> None:
    outcome = start("mosaic", f"{collection}/")

    assert outcome.status == 1
    assert "4 done, 0 kept, 1 skipped, 2 failed" in outcome.stdout
    assert (outcome.errors, "Traceback" in outcome.stderr) == ([], False)
    failed = start("mosaic", run_folder(outcome) / "failed.txt", "--name", "again")
    assert failed.stdout.startswith("2 series: 0 done, 0 kept, 0 skipped, 2 failed")


def test_lines_that_are_not_understood_are_shown_and_make_the_exit_status_1(
    start: Callable[..., Outcome], manifest: Path, tmp_path: Path
) -> None:
    manifest.write_text(manifest.read_text() + "what is this\n")

    refused = start("mosaic", manifest, "--strict")
    assert_error(refused, "--strict")
    assert not (tmp_path / "cache").exists()

    outcome = start("mosaic", manifest)
    assert outcome.status == 1
    assert "2 done, 0 kept, 1 skipped, 0 failed; lines: 1 rejected" in outcome.stdout
    assert any(f"{manifest}:5: " in line for line in outcome.warnings)


def test_the_same_command_again_leaves_what_is_there(
    start: Callable[..., Outcome], manifest: Path, ct: PhantomSeries, tmp_path: Path
) -> None:
    first = start("mosaic", manifest)
    preview = tmp_path / "cache" / "previews" / "mosaic" / ct.series_uuid[:2] / f"{ct.series_uuid}.webp"
    written = preview.stat().st_mtime_ns

    second = start("mosaic", manifest)

    assert (second.status, second.stdout) == (0, first.stdout)
    assert preview.stat().st_mtime_ns == written


def test_other_options_need_another_name_or_overwrite(start: Callable[..., Outcome], manifest: Path) -> None:
    start("mosaic", manifest)

    assert_error(start("mosaic", manifest, "--tile-width", 2), "--name", "--overwrite")
    named = start("mosaic", manifest, "--tile-width", 2, "--name", "small")
    overwritten = start("mosaic", manifest, "--tile-width", 2, "--overwrite")

    assert (named.status, overwritten.status) == (0, 0)
    assert "runs/mosaic-small-" in named.stdout
    assert "2 done" in overwritten.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--contrast", "purple"], ["'purple'"]),
        (["--image-width", "0"], ["--image-width"]),
        (["--name", "a/b"], ["--name"]),
        (["--timeout-per-series", "0"], ["--timeout-per-series"]),
        (["--workers", "2"], ["--workers", "scheduler"]),
        (["--workers", "0"], ["--workers"]),
        (["--scheduler-file", "file.json"], ["--scheduler", "--scheduler-file"]),
        (["--max-workers", "0"], ["--max-workers"]),
        (["--position", "0.5"], ["--position"]),
    ],
)
def test_options_are_checked_before_the_manifest_is_read(
    start: Callable[..., Outcome], tmp_path: Path, options: list[str], words: list[str]
) -> None:
    assert_error(start("mosaic", tmp_path / "missing.txt", *options), *words)


@pytest.mark.parametrize("text", [None, b"", b"# nothing\n\n", b"what is this\n"])
def test_a_manifest_without_a_series_is_an_error(
    start: Callable[..., Outcome], tmp_path: Path, text: bytes | None
) -> None:
    path = tmp_path / "manifest.txt"
    if text is not None:
        path.write_bytes(text)

    assert_error(start("mosaic", path), str(path))


def test_a_scheduler_that_is_not_there_is_an_error(batches: Run, manifest: Path, tmp_path: Path) -> None:
    common = ("mosaic", manifest, "--cache-dir", tmp_path / "cache", "--wait-for-workers", 0.2)

    assert_error(batches(*common, "--scheduler", "tcp://127.0.0.1:9"), "tcp://127.0.0.1:9")
    assert_error(batches(*common, "--scheduler-file", tmp_path / "none.json"), str(tmp_path / "none.json"))


def test_a_scheduler_may_be_named_by_the_environment(
    batches: Run, scheduler: str, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", scheduler)

    assert batches("mosaic", manifest, "--cache-dir", tmp_path / "cache").status == 0
    assert_error(batches("mosaic", manifest, "--cache-dir", tmp_path / "cache", "--workers", 1), "--workers")


def test_the_default_cache_directory_serves_runs_too(
    batches: Run, scheduler: str, manifest: Path, tmp_path: Path
) -> None:
    outcome = batches("mosaic", manifest, "--scheduler", scheduler)

    assert outcome.status == 0
    assert run_folder(outcome).is_relative_to(tmp_path / "default-cache")


def test_failed_series_are_run_again_in_the_same_run(
    start: Callable[..., Outcome], batches: Run, scheduler: str, ct: PhantomSeries, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    (root / ct.series_uuid).mkdir(parents=True)
    (root / ct.series_uuid / ct.objects[0].name).write_bytes(ct.objects[0].data)
    rows = f"series_uuid,color\n{ct.series_uuid},red\n{MISSING},blue\n"
    first = start("mosaic", "-", "--root", root, "--contrast", "1500/-500", stdin=rows.encode())
    assert (first.status, "1 done, 0 kept, 0 skipped, 1 failed" in first.stdout) == (1, True)
    (root / ct.series_uuid).rename(root / MISSING)

    again = batches("retry", run_folder(first), "--scheduler", scheduler)

    assert again.status == 0
    assert again.stdout.startswith("2 series: 2 done, 0 kept, 0 skipped, 0 failed; ")
    assert run_folder(again) == run_folder(first)
    parts = [pq.read_table(path).to_pylist() for path in (run_folder(first) / "results").iterdir()]
    found = {row["series_uuid"]: (row["status"], row["color"], row["attempt"]) for part in parts for row in part}
    assert found == {ct.series_uuid: ("done", "red", 1), MISSING: ("done", "blue", 2)}
    assert sum(map(len, parts)) == 2
    assert (run_folder(first) / "failed.txt").read_text() == ""


def test_a_retry_of_nothing_failed_is_done_at_once(start: Callable[..., Outcome], batches: Run, manifest: Path) -> None:
    first = start("mosaic", manifest)

    again = batches("retry", run_folder(first), "--scheduler", "tcp://127.0.0.1:9")

    assert (again.status, again.stdout) == (0, first.stdout)


def test_ctrl_c_lets_the_running_series_finish_and_exits_130(scheduler: str, ct: PhantomSeries, tmp_path: Path) -> None:
    objects = {f"/bucket/{ct.series_uuid}/{each.name}": each.data for each in ct.objects}
    manifest = tmp_path / "manifest.txt"
    manifest.write_text(f"s3://bucket/{ct.series_uuid}/\ns3://bucket/{MISSING}/\n")
    with run_faulty_server(objects) as server:
        server.faults[:] = ["", *["hang"] * len(objects)]
        options = ("--cache-dir", "cache", "--scheduler", scheduler, "--endpoint-url", server.url, "--anon")
        with start_process("dsp-batch", "mosaic", manifest, *options, cwd=tmp_path) as process:
            wait_until(lambda: len(server.requests) > 1 or process.poll() is not None)
            assert process.poll() is None, process.communicate(timeout=SECONDS)
            process.send_signal(signal.SIGINT)
            read_until(process, "stopping")
            server.released.set()
            stdout, stderr = process.communicate(timeout=60)

    assert (process.returncode, stdout) == (130, "")
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1] == "interrupted"


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_the_account_agrees_with_the_rows(start: Callable[..., Outcome], manifest: Path, tmp_path: Path) -> None:
    outcome = start("mosaic", manifest)

    rows = read_results(run_folder(outcome)).select(["series_uuid", "attempt", "status", "reason"])
    assert sorted(rows.column("status").to_pylist()) == ["done", "done", "skipped"]
    assert rows.column("reason").drop_null().to_pylist() == ["no-pixels"]
