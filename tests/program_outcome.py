"""How one of the two programs ended, run in this process or in one of its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """How a program ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def errors(self) -> list[str]:
        """The lines of standard error that say what is wrong."""
        return [line for line in self.stderr.splitlines() if line.startswith("error: ")]

    @property
    def warnings(self) -> list[str]:
        """The lines of standard error that warn."""
        return [line for line in self.stderr.splitlines() if line.startswith("warning: ")]
