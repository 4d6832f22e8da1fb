"""`--log-json`: whatever is said on standard error is a JSON object a line."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import pytest
from outcomes import Outcome, Run, run_here

from dsp_batch.cli.options import log_options
from dsp_batch.cli.program import Program
from dsp_batch.errors import StorageError
from dsp_batch.phantom.objects import PhantomSeries


@click.group(cls=Program)
def program() -> None:
    """Commands that speak."""


@program.command()
@log_options
def speak() -> None:
    """Say what is awkward, and end with an error."""
    logging.getLogger("dsp_batch.batch.here").info("two\nlines and\u2028\x1b[31m %s", "\udcff")
    logging.getLogger("pydicom").error("PatientName is Somebody")
    logging.getLogger("dsp_batch.core").warning("it went wrong", exc_info=KeyError("inner"))
    raise StorageError("cannot read it: gone", "not-found")


@program.command()
@log_options
def interrupt() -> None:
    """Be interrupted."""
    raise KeyboardInterrupt


def objects_of(outcome: Outcome) -> list[dict[str, Any]]:
    """The lines of standard error, each of which must be an object with a time."""
    found = [json.loads(line) for line in outcome.stderr.splitlines()]
    for each in found:
        assert datetime.fromisoformat(each.pop("time")).utcoffset() is not None
    return found


def test_every_message_is_one_object_on_one_line() -> None:
    outcome = run_here(program, "program", "speak", "--log-json")

    assert outcome.status == 1
    assert objects_of(outcome) == [
        {"level": "info", "logger": "dsp_batch.batch.here", "message": "two\\nlines and\\u2028\\x1b[31m \\udcff"},
        {"level": "warning", "logger": "dsp_batch.core", "message": "it went wrong"},
        {"level": "error", "logger": "dsp_batch.cli", "message": "cannot read it: gone"},
    ]


def test_verbose_adds_exceptions_to_their_objects() -> None:
    found = objects_of(run_here(program, "program", "speak", "-v", "--log-json"))

    texts = {each["message"]: each.get("exception", "") for each in found}
    assert "KeyError: 'inner'" in texts["it went wrong"]
    assert any(text.startswith("Traceback (most recent") and "StorageError" in text for text in texts.values())
    assert "Somebody" not in json.dumps(found)


def test_an_interrupt_is_an_object() -> None:
    outcome = run_here(program, "program", "interrupt", "--log-json")

    assert outcome.status == 130
    assert objects_of(outcome) == [{"level": "warning", "logger": "dsp_batch.cli", "message": "interrupted"}]


def test_text_comes_back_after_json() -> None:
    run_here(program, "program", "speak", "--log-json")

    assert run_here(program, "program", "speak").stderr.splitlines()[-1] == "error: cannot read it: gone"


@pytest.mark.parametrize(
    "words", [["mosaic", "--log-json", "--no-such-option"], ["--log-json"], ["mosaic", "--log-json"]]
)
def test_a_usage_error_is_one_object(preview: Run, batches: Run, words: list[str]) -> None:
    for run in (preview, batches):
        outcome = run(*words)

        (found,) = objects_of(outcome)
        assert (outcome.status, outcome.stdout, found["level"]) == (1, "", "error")
        assert found["usage"].startswith(("dsp-batch ", "dicom-series-preview "))


def test_a_single_command_logs_in_this_form(preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path) -> None:
    outcome = preview("mosaic", collection / ct.series_uuid, tmp_path / "one.webp", "--log-json", "-v")

    assert (outcome.status, outcome.stdout) == (0, "")
    assert any(each["message"].startswith("render: ") for each in objects_of(outcome))


def test_a_run_logs_in_this_form(
    batches: Run, scheduler: str, ct: PhantomSeries, collection: Path, tmp_path: Path
) -> None:
    manifest = tmp_path / "manifest.txt"
    manifest.write_text(f"{collection}/{ct.series_uuid}/\nnonsense here\n")

    outcome = batches("mosaic", manifest, "--cache-dir", tmp_path / "cache", "--scheduler", scheduler, "--log-json")

    said = objects_of(outcome)
    assert any(each["level"] == "warning" and "manifest.txt:2: " in each["message"] for each in said)
    (end,) = [each["summary"] for each in said if "summary" in each]
    assert (end["series"], end["by_status"], end["rejected"]) == (1, {"done": 1}, 1)
    assert end["stages"]["render"]["p50"] > 0
    assert outcome.stdout.startswith("1 series: 1 done, ")
