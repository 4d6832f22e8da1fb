"""What the lines of a manifest come to: lines of a text, items of a JSON list, rows of a table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dsp_batch.batch.manifest.rejected import RejectedLine
from dsp_batch.errors import OptionsError
from dsp_batch.model.series import NO_COLUMNS, SeriesRef
from dsp_batch.names import SeriesName

LONGEST_LINE = 1_048_576
"""Characters. A longer line is reported, not read."""

TOO_LONG = f"longer than {LONGEST_LINE} characters"


class NamedLine(NamedTuple):
    """A line whose series must be looked up or listed."""

    number: int
    text: str
    names: tuple[SeriesName, ...]
    """The names that it may mean, best first: a row without header may hold the UUIDs of study and series."""

    endpoint_url: str | None = None
    columns: Mapping[str, Any] = NO_COLUMNS


class DuplicateLine(NamedTuple):
    """A line that names a series which an earlier line named."""

    line: int
    series_uuid: str


Reading = SeriesRef | NamedLine | RejectedLine
"""A line that was read: a series or folder whose root is certain, a name to look up, or no series."""

Entry = SeriesRef | RejectedLine | DuplicateLine
"""A line of a manifest, after all look-ups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What counts for a line of a manifest that does not say it itself."""

    source: str
    """Name of the manifest, for messages."""

    root: str
    """Where series are looked for that do not name their own root."""

    folders: tuple[str, ...] = (os.curdir,)
    """Folders of this machine that relative paths are looked for in, one after the other."""

    server: str | None = None
    """S3-compatible server that is read; None for AWS."""

    server_is_given: bool = False
    """True where the server was given by hand or by the environment: then the comments of the manifest do not count."""

    root_is_certain: bool = True
    """True where UUIDs without a root are below `root`; False where the IDC index is asked first."""

    endpoint_url: str | None = None
    """The server that the comments of the manifest name, which its series remember; None for AWS."""

    keeps_to_root: bool = False
    """True where lines that lead elsewhere than below `root` are rejected, and servers of comments do not count."""

    def check_place(self, url: str) -> None:
        """Check that a place is below the root, where it must be.

        Raises:
            OptionsError: It is elsewhere.
        """
        if self.keeps_to_root and not f"{url}/".startswith(f"{self.root}/"):
            raise OptionsError(f"it leads out of {self.root}, and --only-below-root is given")
