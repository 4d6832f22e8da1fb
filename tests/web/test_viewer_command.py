"""`view` as a command of both programs, and `dsp_batch.view`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from viewer_client import SECONDS, Client, run_viewer, write_series

import dsp_batch

STARTED = re.compile(r"dicom-series-preview: server running at (http://\S+)\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_series(tmp_path / "series", 2)
    return tmp_path / "series"


@contextmanager
def run_command(*words: str, program: str = "series", **environment: str) -> Iterator[subprocess.Popen[str]]:
    """One of the programs in a process of its own."""
    main = f"from dsp_batch.cli.{program} import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", main, "view", *words, "--no-cache"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)


def read_url(process: subprocess.Popen[str]) -> str:
    """The URL that the program prints first."""
    assert process.stdout
    found = STARTED.fullmatch(process.stdout.readline())
    assert found
    return found[1]


@pytest.mark.parametrize("program", ["series", "batch"])
def test_the_command_prints_its_url_and_ends_with_0_on_ctrl_c(folder: Path, program: str) -> None:
    with run_command(str(folder), "--no-browser", program=program, SSH_CONNECTION="1 2 3 4") as process:
        client = Client(read_url(process))
        assert len(client.wait_for_scan()) == 2
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 0
        assert rest == ""
        assert f"ssh -L {client.port}:127.0.0.1:{client.port} " in errors
        assert "Traceback" not in errors
        assert client.token not in errors


def test_the_command_ends_when_nobody_asks_any_more(folder: Path) -> None:
    with run_command(str(folder), "--no-browser", "--timeout", "0.5") as process:
        read_url(process)
        assert process.wait(SECONDS) == 0


def test_a_mistake_is_one_line(folder: Path, tmp_path: Path) -> None:
    taken = run_viewer(folder)
    with taken as client:
        for words, message in (
            ((str(folder), "--port", str(client.port)), "cannot listen at 127.0.0.1, port"),
            ((str(tmp_path / "nothing"),), "there is no such file or folder"),
            ((str(folder), "--filter", "x"), "is no filter"),
        ):
            with run_command(*words, "--no-browser") as process:
                out, errors = process.communicate(timeout=SECONDS)
                assert process.returncode == 1
                assert out == ""
                assert errors.startswith("error: ")
                assert message in errors
                assert errors.count("\n") == 1


def test_listening_where_others_can_reach_it_is_warned_of(folder: Path) -> None:
    with run_command(str(folder), "--no-browser", "--host", "0.0.0.0", "--timeout", "0.5") as process:
        url = read_url(process)
        assert process.wait(SECONDS) == 0
        assert process.stderr
        assert "warning: the viewer listens at 0.0.0.0, where other machines can reach it" in process.stderr.read()
        assert url.startswith("http://0.0.0.0:")


def test_a_browser_is_opened_unless_it_is_not_wanted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    with dsp_batch.view(folder, browser=False):
        pass
    with dsp_batch.view(folder) as viewer:
        limit = time.monotonic() + 10
        while not opened and time.monotonic() < limit:
            time.sleep(0.01)
    assert opened == [viewer.url]


def test_the_handle_stops_the_viewer_and_shows_a_link(folder: Path) -> None:
    viewer = dsp_batch.view(folder, browser=False)
    client = Client(viewer.url)
    assert client.get("health").status == 200
    assert viewer.token
    assert viewer.token not in repr(viewer)
    assert viewer.url in viewer._repr_html_()
    viewer.stop()
    viewer.stop()
    assert viewer.wait(10)
    with pytest.raises(ConnectionError):
        client.get("health")


def test_the_viewer_blocks_until_its_time_is_over(folder: Path) -> None:
    begin = time.monotonic()
    viewer = dsp_batch.view(folder, browser=False, block=True, timeout=0.3)
    assert time.monotonic() - begin >= 0.3
    assert viewer.wait(0)


def test_the_server_answers_before_the_program_is_loaded(folder: Path) -> None:
    """The heavy parts are imported behind the server; what listens needs none of them."""
    script = (
        "import sys\n"
        "import dsp_batch.web.viewer.server.running\n"
        "print(*sorted({'numpy', 'pyarrow', 'pydicom', 'PIL', 'dask', 'obstore'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert ended.stdout == "\n"


@pytest.mark.parametrize("source", ["nothere", "notes.txt", "empty"])
def test_sources_that_name_nothing_end_the_command_with_one_line(tmp_path: Path, source: str) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme").write_text("no DICOM")
    named = source if source == "nothere" else str(tmp_path / source)

    with run_command(named, "--no-browser") as process:
        read_url(process)
        assert process.wait(SECONDS) == 1
        assert process.stderr
        (line,) = process.stderr.read().splitlines()

    assert line.startswith("error: ")
    assert source in line


def test_a_source_that_names_nothing_costs_one_warning_beside_another_one(folder: Path) -> None:
    with run_command("nothere", str(folder), "--no-browser", "--timeout", "0.5") as process:
        read_url(process)
        assert process.wait(SECONDS) == 0
        assert process.stderr
        assert process.stderr.read().count("'nothere' names no series") == 1
