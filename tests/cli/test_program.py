"""The frame of the programs: whatever a command does, one line and an exit status come of it."""

from __future__ import annotations

import logging
import warnings

import click
import pytest
from outcomes import Outcome, run_here, start_process
from time_limits import SECONDS

from dsp_batch.cli.options import log_options
from dsp_batch.cli.program import Program
from dsp_batch.errors import StorageError

ENDINGS = {
    "expected": StorageError("cannot read it: gone", "not-found"),
    "unexpected": KeyError("a key"),
    "interrupted": KeyboardInterrupt(),
    "ugly": StorageError("two\nlines, \x1b[31mcolor\x1b[0m and \udcff"),
}


@click.group(cls=Program)
def program() -> None:
    """Commands that end in every way."""


@program.command()
@click.argument("ending")
@log_options
def end(ending: str) -> None:
    """End with an error."""
    raise ENDINGS[ending]


@program.command()
@click.argument("status", type=int)
@log_options
def speak(status: int) -> int:
    """Log at all levels, and end with a status."""
    for name in ("dsp_batch.core.here", "dsp_batch.batch.here", "elsewhere", "pydicom"):
        logger = logging.getLogger(name)
        logger.debug("debug of %s", name)
        logger.info("info of %s", name)
        logger.warning("warning of %s", name)
        logger.error("error of %s", name)
    warnings.warn("a library's warning", UserWarning, stacklevel=1)
    warnings.warn_explicit("PatientName is Somebody", UserWarning, "valuerep.py", 1, module="pydicom.valuerep")
    return status


def run(*arguments: str) -> Outcome:
    return run_here(program, "program", *arguments)


def test_an_error_of_ours_is_its_message() -> None:
    assert run("end", "expected") == Outcome(1, "", "error: cannot read it: gone\n")


def test_an_unexpected_error_is_named_and_says_how_to_learn_more() -> None:
    assert run("end", "unexpected") == Outcome(
        1, "", "error: unexpected KeyError: 'a key'; run again with -v for details\n"
    )


@pytest.mark.parametrize("ending", ["expected", "unexpected"])
def test_verbose_adds_the_traceback_and_ends_with_the_same_line(ending: str) -> None:
    outcome = run("end", ending, "-v")

    assert outcome.stderr.startswith("Traceback (most recent call last):")
    assert "raise ENDINGS[ending]" in outcome.stderr
    assert outcome.stderr.splitlines()[-1].startswith("error: ")


def test_an_interrupt_exits_130() -> None:
    outcome = run("end", "interrupted")

    assert (outcome.status, outcome.stderr.split()) == (130, ["interrupted"])


def test_a_message_stays_on_one_line_and_cannot_reach_the_terminal() -> None:
    assert run("end", "ugly").stderr == "error: two\\nlines, \\x1b[31mcolor\\x1b[0m and \\udcff\n"


def test_a_command_decides_the_exit_status() -> None:
    assert [run("speak", status).status for status in ("0", "1")] == [0, 1]


def test_warnings_are_shown_and_information_only_about_runs() -> None:
    assert run("speak", "0").stderr.splitlines() == [
        "warning: warning of dsp_batch.core.here",
        "error: error of dsp_batch.core.here",
        "info of dsp_batch.batch.here",
        "warning: warning of dsp_batch.batch.here",
        "error: error of dsp_batch.batch.here",
        "error: error of elsewhere",
    ]


def test_verbose_shows_all_but_what_may_quote_a_patient() -> None:
    stderr = run("speak", "0", "-v").stderr

    assert "debug of dsp_batch.core.here" in stderr
    assert "warning of elsewhere" in stderr
    assert "a library's warning" in stderr
    assert "pydicom" not in stderr
    assert "Somebody" not in stderr


def test_the_loggers_are_left_as_they_were() -> None:
    loggers = [logging.getLogger(name) for name in ("", "dsp_batch", "dsp_batch.batch", "py.warnings")]
    run("speak", "0", "-v")  # the first warning that logging catches gives its logger a handler for good
    before = [(logger.level, list(logger.handlers)) for logger in loggers]

    run("speak", "0", "-v")

    assert [(logger.level, list(logger.handlers)) for logger in loggers] == before


def test_without_arguments_the_help_is_the_result() -> None:
    outcome = run()

    assert (outcome.status, outcome.stderr) == (0, "")
    assert outcome.stdout == run("--help").stdout
    assert outcome.stdout.startswith("Usage: program")


def test_a_reader_that_has_gone_is_no_traceback() -> None:
    with start_process("dsp-batch", "--help") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        _, stderr = process.communicate(timeout=SECONDS)

    assert (process.returncode, stderr) == (1, "")
