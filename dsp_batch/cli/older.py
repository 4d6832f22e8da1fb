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
            if len(words) == 2:
                _log.warning("calls without a command are deprecated: write %s %s …", ctx.command_path, verb)
                args = [verb, *args]
        return super().parse_args(ctx, args)

    def _words(self, ctx: click.Context, verb: str, args: list[str]) -> list[str]:
        """The arguments that are neither options of a verb nor values of these; none where they do not parse."""
        try:
            _, words, _ = self.commands[verb].make_parser(ctx).parse_args(list(args))
        except click.UsageError:
            return []
        misplaced = [word for word in words[:1] if word in self.commands]
        if misplaced:
            raise click.UsageError(f"options come after the command: write {misplaced[0]} first", ctx)
        return words
