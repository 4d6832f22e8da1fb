"""Run a program: here alone, whatever goes wrong becomes one line on standard error and an exit status."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn

import click

from dsp_batch.batch.garbage import collect_rarely
from dsp_batch.cli.logs import JSON_FLAG, is_verbose, log_to_stderr, logs_json, say_last
from dsp_batch.errors import DspBatchError, printable

EXIT_ERROR = 1
"""Exit status after any error, usage errors included."""

EXIT_INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 plus the number of the signal."""

LIBRARY_SETTINGS = {
    # Nothing here multiplies matrices: the threads that NumPy would start for it cost 0.05 s of CPU.
    "OPENBLAS_NUM_THREADS": "1",
    # Arrow's own allocator keeps 8 MB more than the system's.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""Environment variables that libraries read when they are imported. Values that the user has set are kept."""

_log = logging.getLogger(__name__)


class Program(click.Group):
    """Commands whose errors are one line and whose exit status is 0, 1 or 130."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002  # click's signature
        **extra: Any,
    ) -> Any:
        """Run the program and exit.

        Args:
            args: Arguments; None for those of the process.
            prog_name: Name of the program in usage lines.
            complete_var: Passed on to `click.Command.main`.
            standalone_mode: Ignored: the program always exits.
            extra: Passed on to `click.Command.main`.
        """
        del standalone_mode
        for name, value in LIBRARY_SETTINGS.items():
            os.environ.setdefault(name, value)
        collect_rarely()
        run = partial(super().main, args, prog_name, complete_var, standalone_mode=False, **extra)
        # The flag is looked for before options are parsed, so that an error in one has the same form.
        words = sys.argv[1:] if args is None else args
        with log_to_stderr(as_json=JSON_FLAG in words):
            status = _run_guarded(run)
        sys.exit(status)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Make the context of a call, with the width of the terminal, which click itself is slow to find."""
        if parent is None:
            extra.setdefault("terminal_width", _help_width())
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Among JSON objects, an interrupt writes no empty line, as click would."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if logs_json():
                raise click.Abort from None
            raise

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse arguments, and show the help where there are none."""
        if not args:
            click.echo(ctx.get_help())
            ctx.exit(0)
        return super().parse_args(ctx, args)


def _help_width() -> int:
    """Find the width of help texts: that of the terminal, between 50 and 100 columns."""
    try:
        columns = int(os.environ.get("COLUMNS") or os.get_terminal_size().columns)
    except (OSError, ValueError):
        columns = 80
    return max(50, min(columns, 100) - 2)


def _run_guarded(work: Callable[[], Any]) -> int:
    """Run a program and return its exit status. Commands return theirs, or None for 0."""
    try:
        return work() or 0
    except (KeyboardInterrupt, click.Abort):
        say_last(logging.WARNING, "interrupted")
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        _say_error(_lower(error.format_message()), **_describe_usage(error))
    except DspBatchError as error:
        _explain(error, error.message)
    except MemoryError as error:
        _explain(error, "it needs more memory than there is: run it where there is more")
    except Exception as error:  # noqa: BLE001  # the outermost boundary: no traceback without -v
        advice = "" if is_verbose() else "; run again with -v for details"
        _explain(error, f"unexpected {type(error).__name__}: {error}{advice}")
    return EXIT_ERROR


def _explain(error: BaseException, message: str) -> None:
    _log.debug("the error below was raised here", exc_info=error)
    _say_error(message)


def _say_error(message: str, **usage: str) -> None:
    """Write an error: one line of text, and one of usage for a usage error; or one JSON object."""
    if logs_json():
        say_last(logging.ERROR, printable(message), **usage)
        return
    say_last(logging.ERROR, printable(f"error: {message}"))
    for line in usage.values():
        say_last(logging.ERROR, printable(f"usage: {line} (--help says more)"))


def _describe_usage(error: click.ClickException) -> dict[str, str]:
    context = getattr(error, "ctx", None)
    if context is None:
        return {}
    return {"usage": " ".join([context.command_path, *context.command.collect_usage_pieces(context)])}


def _lower(sentence: str) -> str:
    """Give click's sentences the form of our messages: small first letter, no full stop."""
    return sentence[:1].lower() + sentence[1:].rstrip(".")


def run_to_end(program: click.Group, name: str) -> NoReturn:
    """Run a program and leave the process at once with its exit status.

    The usual exit ends the interpreter while threads of the storage client may still call into it. Now and then that
    aborts the process, with an exit status of 134 after an error of one line.
    """
    status = EXIT_ERROR
    try:
        program.main(prog_name=name)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else EXIT_ERROR
    try:
        sys.stdout.flush()
    except OSError:  # whoever read the output has left
        status = status or EXIT_ERROR
    sys.stderr.flush()
    os._exit(status)
