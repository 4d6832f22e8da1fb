"""Manifests as they are written: a line for each series."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from dsp_batch.errors import CONTROL_CHARACTERS, printable
from dsp_batch.model.series import SeriesRef

_AWS_ENDPOINT = "https://s3.amazonaws.com"

_QUOTED_SIGNS = re.compile(r"[,;\t]|/\s+#")
"""What readers would take for the end of a cell, or for the beginning of a comment."""


def list_lines(refs: Iterable[SeriesRef]) -> Iterator[str]:
    """Lines, without their ends, of a manifest that names these series: s5cmd commands for S3, else URLs or paths."""
    yield from list_commented_lines((ref, "") for ref in refs)


def list_commented_lines(series: Iterable[tuple[SeriesRef, str]]) -> Iterator[str]:
    """Lines, without their ends, of a manifest, with a comment behind each series that has one.

    Args:
        series: Each series, and its comment without `#`.
    """
    endpoint_url: str | None = None
    for ref, comment in series:
        if ref.endpoint_url != endpoint_url:
            endpoint_url = ref.endpoint_url
            server = printable(endpoint_url or _AWS_ENDPOINT)
            yield f"# s5cmd --no-sign-request --endpoint-url {server} run <this file>"
        yield _name_series(_write_out(ref.url), is_in_bucket=ref.root.startswith("s3://")) + (
            f" # {printable(comment)}" if comment else ""
        )


def _write_out(url: str) -> str:
    """Write out the control characters of a URL, which no name of a series may hold; other signs are its spelling."""
    return CONTROL_CHARACTERS.sub(lambda found: printable(found[0]), url)


def _name_series(url: str, *, is_in_bucket: bool) -> str:
    if is_in_bucket and " " not in url:
        return f"cp {url}/* ."
    return f'"{url}/"' if _QUOTED_SIGNS.search(url) else f"{url}/"
