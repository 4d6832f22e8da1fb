"""What is measured, and the targets that it is held against, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from phantom_bulk import CT300, GE151, MR63, MR1008, BulkLayout


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The figures of one case: medians of several runs."""

    part: str
    case: str
    """A series, a program, a cluster."""

    source: str
    operation: str
    values: Mapping[str, float]
    """Measure → value; the names and their units are the keys of `UNITS`."""


class Unit(NamedTuple):
    """How a measure is shown."""

    title: str
    scale: float
    """What a value is divided by."""

    digits: int


UNITS: Mapping[str, Unit] = {
    "requests": Unit("requests", 1, 0),
    "bytes_read": Unit("MB", 1e6, 2),
    "cpu_seconds": Unit("CPU s", 1, 3),
    "process_cpu_seconds": Unit("CPU s, whole process", 1, 2),
    "wall_seconds": Unit("wall s", 1, 3),
    "peak_bytes": Unit("peak MB", 1e6, 0),
    "cpu_seconds_per_instance": Unit("CPU ms an instance", 1e-3, 2),
    "render_seconds": Unit("render ms", 1e-3, 1),
    "encode_seconds": Unit("encode ms", 1e-3, 1),
    "wall_limit_seconds": Unit("limit: 1.5 × (latency × rounds + CPU), s", 1, 3),
    "wall_over_expected": Unit("wall over latency × rounds + CPU", 1, 2),
    "request_seconds": Unit("CPU µs a request", 1e-6, 0),
    "client_request_seconds": Unit("obstore alone, CPU µs a request", 1e-6, 0),
    "own_request_seconds": Unit("our own CPU µs a request", 1e-6, 0),
    "series": Unit("series", 1, 0),
    "growth_per_series": Unit("growth of the peak, bytes a series", 1, 0),
    "series_per_second_per_core": Unit("series/s/core", 1, 2),
    "efficiency": Unit("against serial", 1, 2),
    "cpu_share": Unit("CPU use of a worker", 0.01, 0),
    "client_cpu_per_series": Unit("client and scheduler, CPU ms a series", 1e-3, 2),
    "worker_peak_bytes": Unit("worker peak MB", 1e6, 0),
    "frames_per_second": Unit("frames/s", 1, 0),
    "picture_bytes": Unit("largest picture, KB", 1e3, 1),
    "worker_growth": Unit("last quarter over second", 1, 2),
}
"""Measures in the order of the columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A bound for one measure of the figures that it fits."""

    title: str
    part: str
    measure: str
    bound: float
    case: str | None = None
    source: str | None = None
    operation: str | None = None
    """None: any."""

    at_least: bool = False
    """The bound is a lower one."""

    def fits(self, figure: Figure) -> bool:
        """Whether a figure is held against this target."""
        wanted = (self.part, self.case or figure.case, self.source or figure.source)
        return (
            wanted == (figure.part, figure.case, figure.source)
            and self.operation in (None, figure.operation)
            and self.measure in figure.values
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything one call of the runner has measured."""

    machine: Mapping[str, str]
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was left out, and why."""


def worst(target: Target, figures: Iterable[Figure]) -> float | None:
    """The value furthest from a target; None where nothing was measured."""
    values = [figure.values[target.measure] for figure in figures if target.fits(figure)]
    if not values:
        return None
    return min(values) if target.at_least else max(values)


def is_met(target: Target, value: float) -> bool:
    """Whether a value lies on the good side of the bound."""
    return value >= target.bound if target.at_least else value <= target.bound


def medians(runs: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Measure by measure."""
    rows = list(runs)
    return {name: median(row[name] for row in rows) for name in rows[0]}


PHANTOMS: Mapping[str, BulkLayout] = {"ct300": CT300, "mr1008": MR1008, "mr63": MR63, "ge151": GE151}
"""Series by the names of the targets."""

TILES = 36
COLD, COLD_UNCACHED, CACHED, COLD_IMAGE, INDEX = (
    "mosaic, index written",
    "mosaic, no cache",
    "mosaic, index cached",
    "one image, index written",
    "index alone",
)
MOSAICS = (COLD, CACHED)

_FRAME_BYTES = {name: layout.rows * layout.columns * 2 for name, layout in PHANTOMS.items()}
_PAGE = 1000
"""Keys that S3 lists in one request."""

_PEER_CPU = {"ct300": (0.05, 27.0), "mr63": (0.4, 2.2)}
"""Share that is aimed at, and CPU seconds of the fastest comparable program, at its best."""


def _requests(name: str, count: int) -> float:
    """Listing, headers and frames; a large private block may cost a second range, small objects no second pass."""
    pages = -(-count // _PAGE)
    headers = 2 * count if name in ("mr63", "mr1008") else count
    return 1.02 * (pages + headers + (0 if name == "ge151" else TILES))


def _bytes(name: str, layout: BulkLayout) -> float:
    """Frames and 16 KiB a header, or small objects as a whole."""
    if name == "ge151":
        return 1.1 * layout.count * (layout.header_bytes + _FRAME_BYTES[name])
    return 1.1 * (TILES * _FRAME_BYTES[name] + 16_384 * layout.count)


def _series_targets(name: str, layout: BulkLayout) -> list[Target]:
    cold = {"part": "series", "case": name, "operation": COLD}
    return [
        Target(title=f"{name}, cold mosaic", measure="requests", bound=_requests(name, layout.count), **cold),
        Target(title=f"{name}, cold mosaic", measure="bytes_read", bound=_bytes(name, layout), **cold),
        Target(
            title=f"{name}, mosaic without cache",
            part="series",
            case=name,
            operation=COLD_UNCACHED,
            measure="requests",
            bound=_requests(name, layout.count),
        ),
        *(  # 36 frames, the index itself, and on disk the listing that shows whether the folder has changed
            Target(
                title=f"{name}, cached index, {source}",
                part="series",
                case=name,
                source=source,
                operation=CACHED,
                measure="requests",
                bound=bound,
            )
            for source, bound in {"disk": 38, "nginx": 37, "radosgw": 37}.items()
        ),
        Target(
            title=f"{name}, headers to an index",
            part="render",
            case=name,
            measure="cpu_seconds_per_instance",
            bound=0.7e-3,
        ),
    ]


TARGETS: tuple[Target, ...] = (
    *(target for name, layout in PHANTOMS.items() for target in _series_targets(name, layout)),
    Target(
        title="ct300 from S3, cold mosaic",
        part="series",
        case="ct300",
        source="radosgw",
        operation=COLD,
        measure="cpu_seconds",
        bound=0.6,
    ),
    *(
        Target(
            title=f"{name} from S3, cold mosaic, {share:g} of the peer",
            part="series",
            case=name,
            source="radosgw",
            operation=COLD,
            measure="process_cpu_seconds",
            bound=share * seconds,
        )
        for name, (share, seconds) in _PEER_CPU.items()
    ),
    Target(title="ct300, cold mosaic", part="series", case="ct300", operation=COLD, measure="peak_bytes", bound=150e6),
    Target(title="36 tiles of 512 × 512 × 16 bit", part="render", measure="render_seconds", bound=25e-3),
    Target(title="mosaic of 768 × 768", part="render", measure="encode_seconds", bound=30e-3),
    *(
        Target(title=title, part="objects", case=title, operation=operation, measure="cpu_seconds", bound=bound)
        for title, operation, bound in (
            ("report of 104 × 11", "picture, index at hand", 0.15),
            ("structure set of 140,000 points", "whole path", 0.3),
            ("STL of 1,250", "picture, index at hand", 0.1),
            ("STL of 100,000", "picture, index at hand", 1.0),
        )
    ),
    Target(title="help", part="startup", operation="--help", measure="wall_seconds", bound=0.2),
    Target(title="a command without Dask", part="startup", operation="get-index", measure="wall_seconds", bound=0.5),
    Target(title="cached image", part="startup", operation="get-image", measure="wall_seconds", bound=0.6),
    Target(title="the viewer is up", part="viewer", operation="up", measure="wall_seconds", bound=0.5),
    Target(
        title="first frame of a cached series",
        part="viewer",
        operation="first frame, index cached",
        measure="wall_seconds",
        bound=0.2,
    ),
    Target(
        title="cine over loopback",
        part="viewer",
        operation="cine at 0 ms",
        measure="frames_per_second",
        bound=25,
        at_least=True,
    ),
    Target(
        title="cine at 40 ms of latency",
        part="viewer",
        operation="cine at 40 ms",
        measure="frames_per_second",
        bound=15,
        at_least=True,
    ),
    Target(title="picture of 512 × 512 pixels", part="viewer", measure="picture_bytes", bound=40_000),
    Target(title="cold ct300 mosaic", part="latency", measure="wall_over_expected", bound=1.5),
    Target(
        title="batch of ct300",
        part="batch",
        case="ct300",
        operation="2 workers",
        measure="series_per_second_per_core",
        bound=2.5,
        at_least=True,
    ),
    Target(
        title="one worker at 40 ms",
        part="batch",
        case="ct300",
        operation="1 worker",
        measure="cpu_share",
        bound=0.85,
        at_least=True,
    ),
    Target(title="tiny series", part="batch", case="tiny", measure="client_cpu_per_series", bound=0.5e-3),
    Target(title="one object of 4 GB", part="memory", case="4 GB", measure="peak_bytes", bound=250e6),
    Target(title="a worker, 1,000 mixed series", part="memory", case="mixed", measure="worker_peak_bytes", bound=500e6),
    Target(title="a worker, 1,000 mixed series", part="memory", case="mixed", measure="worker_growth", bound=1.1),
    Target(title="a manifest of a million lines", part="manifests", measure="wall_seconds", bound=60),
    Target(title="a manifest of a million lines", part="manifests", measure="peak_bytes", bound=500e6),
    Target(title="a tree of small files", part="trees", measure="growth_per_series", bound=2e3),
)
