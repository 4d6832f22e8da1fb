"""Manifests as they are written: a line for each series."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dsp_batch.model.series import SeriesRef

_AWS_ENDPOINT = "https://s3.amazonaws.com"


def list_lines(refs: Iterable[SeriesRef]) -> Iterator[str]:
    """Lines, without their ends, of a manifest that names these series: s5cmd commands for S3, else URLs or paths."""
    endpoint_url: str | None = None
    for ref in refs:
        if ref.endpoint_url != endpoint_url:
            endpoint_url = ref.endpoint_url
            yield f"# s5cmd --no-sign-request --endpoint-url {endpoint_url or _AWS_ENDPOINT} run <this file>"
        if ref.root.startswith("s3://") and " " not in ref.url:
            yield f"cp {ref.url}/* ."
        else:
            yield f'"{ref.url}/"' if any(sign in ref.url for sign in ",;\t") else f"{ref.url}/"
