"""The older spelling of `dicom-series-preview`: no command."""

from __future__ import annotations

import logging

import click

from dsp_batch.cli.program import Program

_log = logging.getLogger(__name__)


class SeriesProgram(Program):
    """Takes `[OPTIONS] SERIES OUTPUT` without a command for `mosaic`, or for `get-image` where it has a position."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command in front where it was left out."""
        if args and args[0] not in self.commands:
            verb = "get-image" if any(each.partition("=")[0] == "--position" for each in args) else "mosaic"
            words = self._words(ctx, verb, args)
            if words[0] in self.commands:
                raise click.UsageError(f"options come after the command: write {words[0]} first", ctx)
            if len(words) == 2 and None not in words:
                _log.warning("calls without a command are deprecated: write %s %s …", ctx.command_path, verb)
                args = [verb, *args]
        return super().parse_args(ctx, args)

    def _words(self, ctx: click.Context, verb: str, args: list[str]) -> list[str | None]:
        """The arguments that are neither options of a verb nor values of these; None for one that is missing."""
        parsed = self.commands[verb].make_context(verb, list(args), parent=ctx, resilient_parsing=True)
        return [parsed.params.get("series"), parsed.params.get("output"), *parsed.args]
