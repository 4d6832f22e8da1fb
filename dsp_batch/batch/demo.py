"""The demonstration: the whole job on generated series, without network and without files of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dsp_batch.batch.run import run_batch
from dsp_batch.batch.runs.progress import Progress
from dsp_batch.batch.runs.result_row import Status
from dsp_batch.batch.runs.results import read_results
from dsp_batch.batch.runs.summary import RunSummary
from dsp_batch.cache import open_cache
from dsp_batch.errors import SinkError
from dsp_batch.options import ClusterOptions, PreviewOptions
from dsp_batch.phantom.series import build_corrupt, demo_collection, write_collection


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """The generated series, and what the batch made of them."""

    source: Path
    """Folder of the generated series."""

    summary: RunSummary
    titles: Mapping[str, str]
    """UUID of each series → its title, in the order in which they were made."""

    previews: Mapping[str, str]
    """UUID of a series → the path of its preview."""

    unexpected: tuple[str, ...]
    """One line for each series that did not come out as it should; empty when all did."""


def run_demo(folder: Path, cluster: ClusterOptions, progress: Progress) -> Demonstration:
    """Write the phantom collection below a folder and preview all of it in a batch.

    Args:
        folder: Folder for `series/` and `cache/`. Those of an earlier demonstration are used again.
        cluster: Where to compute.
        progress: Is told about each series.

    Raises:
        DspBatchError: As in `run_batch`.
        SinkError: The folder cannot be written.
    """
    source = folder.absolute() / "series"
    titles = _write_series(source)
    cache = open_cache(source.parent / "cache")
    summary = run_batch(f"{source}/", PreviewOptions(), cache=cache, root=source, cluster=cluster, progress=progress)
    rows = read_results(cache, summary.run).select(["series_uuid", "status", "preview", "error"]).to_pylist()
    return Demonstration(
        source=source,
        summary=summary,
        titles=titles,
        previews={row["series_uuid"]: cache.url_of(row["preview"]) for row in rows if row["preview"]},
        unexpected=_compare(titles, {row["series_uuid"]: row for row in rows}),
    )


def _write_series(source: Path) -> dict[str, str]:
    """Write the collection, and tell the title of each series by its UUID."""
    titles: dict[str, str] = {}
    try:
        for series in demo_collection():
            write_collection(source, [series])
            titles[series.series_uuid] = series.title
    except OSError as error:
        raise SinkError(f"cannot write below {source}: {(error.strerror or str(error)).lower()}") from error
    return titles


def _compare(titles: Mapping[str, str], rows: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Say which series did not come out as they should."""
    wanted: dict[str, tuple[Status, ...]] = {
        build_corrupt().series_uuid: ("failed",),
    }
    lines = []
    for series_uuid, title in titles.items():
        row = rows.get(series_uuid, {})
        if row.get("status") not in wanted.get(series_uuid, ("done", "kept")):
            lines.append(f"{title} ({series_uuid}) is {row.get('status', 'missing')}: {row.get('error')}")
    return tuple(lines)
