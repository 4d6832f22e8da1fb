"""The series that are measured, written once, and the sources that they are read from."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from bench_figures import PHANTOMS
from phantom_bulk import build_bulk
from servers import find_free_port, run_nginx, run_s3

from dsp_batch.phantom.series import write_collection

_PROJECT = Path(__file__).parents[2]
_DATA = Path(os.environ.get("DSP_DATA") or _PROJECT.parent / "shared" / "data") / "series"
_REAL = {
    "real CT": "ed96988a-3a9a-566c-9a25-227a18d9c04c",
    "real MR": "add83274-8a81-5418-9330-d98b099f76d9",
    "real XA": "eb6f5d50-d494-5a9f-9b14-5b0c689959a9",
}
"""30 slices of 512 × 512; 520 small instances; one object of 96 JPEG frames."""

_QUICK_COUNT = 60
"""Objects of a phantom series, at most, when time is short."""

BUCKET = "series"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSeries:
    """One series that is measured."""

    name: str
    series_uuid: str
    count: int
    """Objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A way to the series."""

    name: str
    root: str
    """What holds `series/`, and the folders of the manifests."""

    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Everything that a part needs to be measured."""

    folder: Path
    """Temporary; `www/` in it is what the sources give access to."""

    series: tuple[BenchSeries, ...]
    sources: tuple[Source, ...]
    runs: int
    is_quick: bool
    say: Callable[[str], None]
    """Tell how far it is."""

    def find(self, name: str) -> BenchSeries:
        """A series by its name."""
        return next(each for each in self.series if each.name == name)

    def source(self, name: str) -> Source | None:
        """A source by its name; None where its server is not installed."""
        return next((each for each in self.sources if each.name == name), None)

    def scratch(self, name: str) -> Path:
        """A folder for what a task writes."""
        path = self.folder / name
        path.mkdir(exist_ok=True)
        return path


def write_series(folder: Path, *, is_quick: bool) -> tuple[BenchSeries, ...]:
    """Write the phantoms below a folder, and the real series where they are."""
    written = []
    for name, layout in PHANTOMS.items():
        count = min(layout.count, _QUICK_COUNT) if is_quick else layout.count
        phantom = build_bulk(replace(layout, count=count))
        write_collection(folder, [phantom])
        written.append(BenchSeries(name=name, series_uuid=phantom.series_uuid, count=count))
    for name, series_uuid in _REAL.items():
        if (_DATA / series_uuid).is_dir() and not is_quick:
            shutil.copytree(_DATA / series_uuid, folder / series_uuid)
            written.append(
                BenchSeries(name=name, series_uuid=series_uuid, count=len(list((folder / series_uuid).iterdir())))
            )
    return tuple(written)


def link_series(folder: Path, series_uuid: str, names: Iterable[str]) -> list[str]:
    """Give a series more names, at no cost of space: the UUIDs of its copies.

    Args:
        folder: Gets the copies.
        series_uuid: A series in the folder `series` beside it.
        names: What the UUIDs are made from.
    """
    origin = folder.parent / "series" / series_uuid
    copies = []
    for name in names:
        copy = folder / str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:dsp_batch:benchmark/{name}"))
        copy.mkdir(parents=True)
        for item in origin.iterdir():
            os.link(item, copy / item.name)
        copies.append(copy.name)
    return copies


@contextmanager
def open_sources(folder: Path, notes: list[str], names: Iterable[str]) -> Iterator[tuple[Source, ...]]:
    """Start the servers. Those that are not installed are left out, with a note.

    Args:
        folder: Holds `www`; gets the files of the servers.
        notes: Gets what is left out.
        names: Sources that are wanted.
    """
    openers = {"disk": _open_disk, "nginx": _open_nginx, "radosgw": _open_s3}
    with ExitStack() as running:
        sources = []
        for name in names:
            try:
                sources.append(openers[name](folder, running))
            except pytest.skip.Exception as reason:
                notes.append(f"{name} is left out: {reason}")
        yield tuple(sources)


def _open_disk(folder: Path, running: ExitStack) -> Source:
    return Source(name="disk", root=str(folder / "www"))


def _open_nginx(folder: Path, running: ExitStack) -> Source:
    locations = f"location / {{ root {folder}/www; autoindex on; autoindex_format json; access_log off; }}"
    server = running.enter_context(run_nginx(folder / "nginx", locations))
    return Source(name="nginx", root=server.url)


def _open_s3(folder: Path, running: ExitStack) -> Source:
    directory = folder / f"s3-{find_free_port()}"
    directory.mkdir()
    server = running.enter_context(run_s3(directory))
    server.create_bucket(BUCKET)
    for series in (folder / "www" / "series").iterdir():
        server.put_many(BUCKET, {f"series/{series.name}/{item.name}": item.read_bytes() for item in series.iterdir()})
    environment = {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ACCESS_KEY_ID": server.key,
        "AWS_SECRET_ACCESS_KEY": server.secret,
    }
    return Source(name="radosgw", root=f"s3://{BUCKET}", environment=environment)
