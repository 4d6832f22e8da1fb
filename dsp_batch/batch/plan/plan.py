"""The plan of a batch: what it will take, before anything of its series is read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import compress, islice
from typing import Any, Literal

from dsp_batch.batch.manifest.lookup import Lookup, default_lookup
from dsp_batch.batch.manifest.read import read_manifest_table
from dsp_batch.batch.manifest.rejected import show_rejected
from dsp_batch.batch.manifest.source import Source
from dsp_batch.batch.plan.estimate import SERIES_AT_ONCE, SeriesFacts, Work, build_facts, count_tiles, estimate_work
from dsp_batch.batch.runs.job import find_verb
from dsp_batch.dicom.sop_classes import sop_class_name
from dsp_batch.errors import DspBatchError, OptionsError, Reason
from dsp_batch.fetch import list_series_objects
from dsp_batch.idc.index import describe_series
from dsp_batch.idc.viewer import is_indexed
from dsp_batch.kinds.registry import lacks_pictures, reason_to_skip
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import LATENCY, MosaicOptions, Options, PreviewOptions, convert_fields
from dsp_batch.scan.find import find_again
from dsp_batch.storage.public_buckets import DEFAULT_ROOT

_BATCH = 65_536
"""Series that are looked up at once, so that a manifest of any length is streamed."""

_LISTINGS_AT_ONCE = 16
"""Series that are listed at the same time."""

_MOSAIC = MosaicOptions()

FactSource = Literal["index", "listing", "nothing"]
"""Source of the figures of a series; `nothing` where it could not be listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """The assumptions of a plan."""

    tiles: int = 36
    """Frames of a preview; 0 when only indices are built."""

    needs_pixels: bool = True
    """True where series without pixels are skipped."""

    cores: int = 16
    """Worker threads, one a core."""

    latency: float = LATENCY
    """Seconds that storage takes to answer a request."""

    def __post_init__(self) -> None:
        convert_fields(self)
        if self.cores < 1:
            raise OptionsError(f"--cores must be 1 or more, not {self.cores}")
        if not 0 <= self.latency < float("inf"):
            raise OptionsError(f"--latency must be 0 or more seconds, not {self.latency}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """The series of one modality and SOP class."""

    modality: str | None
    """Modality (0008,0060); None where only the listing is known."""

    sop_class_uid: str | None
    """SOPClassUID (0008,0016); None where only the listing is known."""

    sop_class: str | None
    """Name of the SOP class."""

    source: FactSource
    reason: Reason | None
    """Why these series are skipped, or will fail; None when they are worked on."""

    series: int
    objects: int
    size: int
    """Bytes of all objects."""

    requests: int
    """Requests that the series will take; 0 when they are skipped."""

    bytes_read: int
    """Bytes that will be read; 0 when the series are skipped."""

    seconds: float
    """Seconds of one worker thread with one series after the other, waiting for storage included."""

    cpu_seconds: float
    """Seconds of one worker thread without the waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The requests, bytes and hours that a batch will take. As text it is a table and its sums."""

    options: PlanOptions
    """Assumptions of the plan."""

    rows: tuple[PlanRow, ...]
    """Series by modality and SOP class, most series first."""

    rejected: int = 0
    """Lines of the manifest that name no series."""

    duplicates: int = 0
    """Lines of the manifest that name a series which an earlier line named."""

    @property
    def series(self) -> int:
        """Number of series, the skipped ones included."""
        return sum(row.series for row in self.rows)

    @property
    def skipped(self) -> dict[str, int]:
        """Series that will not be drawn, by reason."""
        counts: Counter[str] = Counter()
        for row in self.rows:
            if row.reason is not None:
                counts[row.reason] += row.series
        return dict(counts)

    @property
    def hours(self) -> float:
        """Wall time with the given cores, when no core waits for another and the network is wide enough.

        While some series of a worker wait for storage another computes.
        """
        series = sum(row.series for row in self.rows if row.reason is None)
        at_once = min(SERIES_AT_ONCE, max(1.0, series / self.options.cores))
        computing = sum(row.cpu_seconds for row in self.rows)
        waiting_too = sum(row.seconds for row in self.rows)
        return max(computing, waiting_too / at_once) / self.options.cores / 3600

    def total(self, name: Literal["objects", "size", "requests", "bytes_read"]) -> int:
        """Sum of a column."""
        return sum(getattr(row, name) for row in self.rows)

    def __str__(self) -> str:
        lines = f"lines: {self.rejected} rejected, {self.duplicates} duplicate"
        return "\n".join([*format_plan(self), lines])


@dataclass(frozen=True, slots=True)
class _Group:
    """Facts that the series of one row of the plan have in common."""

    modality: str | None
    sop_class_uid: str | None
    source: FactSource
    reason: Reason | None


@dataclass(slots=True)
class _Sum:
    series: int = 0
    objects: int = 0
    size: int = 0
    requests: int = 0
    bytes_read: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


def plan_batch(  # noqa: PLR0913  # what is drawn, where it is read and what is assumed, each by its name
    manifest: Source,
    options: Options = _MOSAIC,
    *,
    root: str | os.PathLike[str] = DEFAULT_ROOT,
    endpoint_url: str | None = None,
    anonymous: bool | None = None,
    only_below_root: bool = False,
    cores: int = 16,
    latency: float = LATENCY,
) -> Plan:
    """Count what a batch over a manifest will take, before anything is read of its series.

    What the IDC index does not know of them is told by their listings.

    Args:
        manifest: As in `run_batch`.
        options: As in `run_batch`.
        root: As in `run_batch`.
        endpoint_url: As in `run_batch`.
        anonymous: As in `run_batch`.
        only_below_root: As in `run_batch`.
        cores: Worker threads, one a core.
        latency: Seconds that storage takes to answer a request.

    Returns:
        Series by modality and SOP class, with the requests, bytes and seconds that they will take. As text it is what
        `dsp-batch plan` prints.

    Raises:
        ManifestError: The manifest cannot be read, or names no series at all.
        OptionsError: An argument is wrong.

    Example:
        >>> plan = plan_batch("series/", cores=4)
        >>> plan.series, plan.total("objects")
        (13, 148)
    """
    find_verb(options)
    assumed = PlanOptions(
        tiles=count_tiles(options), needs_pixels=not isinstance(options, PreviewOptions), cores=cores, latency=latency
    )
    lookup = replace(default_lookup(endpoint_url, anonymous), keeps_to_root=only_below_root)
    read = read_manifest_table(manifest, root=os.fspath(root), endpoint_url=endpoint_url, lookup=lookup)
    show_rejected(read.rejected, f"{len(read.rejected)} lines in all are not understood")
    plan = plan_manifest(read.series(), assumed, lookup, endpoint_url)
    return replace(plan, rejected=len(read.rejected), duplicates=read.duplicates)


def plan_manifest(
    refs: Iterable[SeriesRef], options: PlanOptions, lookup: Lookup, endpoint_url: str | None = None
) -> Plan:
    """Count what a batch over some series will take.

    Args:
        refs: The series, as `read_manifest` yields them; streamed.
        options: The assumptions.
        lookup: The IDC index, and stores to list series in that it does not know.
        endpoint_url: S3-compatible server given by hand. Its buckets under the names of IDC's may hold something else.
    """
    sums: dict[_Group, _Sum] = {}
    stream = iter(refs)
    while batch := list(islice(stream, _BATCH)):
        for facts, source, trouble in _find_facts(batch, lookup, endpoint_url):
            reason = trouble or (_find_reason(facts) if options.tiles and options.needs_pixels else None)
            group = _Group(facts.modality, facts.sop_class_uid, source, reason)
            work = None if reason else estimate_work(facts, options.tiles)
            _add(sums.setdefault(group, _Sum()), facts, options, work)
    rows = [_build_row(group, counts) for group, counts in sums.items()]
    return Plan(options=options, rows=tuple(sorted(rows, key=lambda row: (-row.series, row.modality or ""))))


def describe_plan(plan: Plan) -> dict[str, Any]:
    """Describe a plan for JSON."""
    names: tuple[Literal["objects", "size", "requests", "bytes_read"], ...]
    names = ("objects", "size", "requests", "bytes_read")
    return {
        "series": plan.series,
        "skipped": plan.skipped,
        **{name: plan.total(name) for name in names},
        "hours": round(plan.hours, 4),
        "assumed": {name: getattr(plan.options, name) for name in ("tiles", "cores", "latency")},
        "classes": [asdict(row) for row in plan.rows],
        "rejected": plan.rejected,
        "duplicates": plan.duplicates,
    }


def format_plan(plan: Plan) -> list[str]:
    """Write a plan as text, line by line: a table, and its sums."""
    skipped = ", ".join(f"{count:,} {reason}" for reason, count in sorted(plan.skipped.items())) or "none"
    latency = f"{plan.options.latency * 1000:g}"
    return [
        *_format_table(plan.rows),
        "",
        f"{plan.series:,} series, {plan.total('objects'):,} objects, {_format_size(plan.total('size'))}",
        f"not drawn: {skipped}",
        f"about {plan.total('requests'):,} requests, {_format_size(plan.total('bytes_read'))} to read",
        f"about {_format_time(plan.hours)} on {plan.options.cores} cores, when storage answers in {latency} ms",
    ]


def _format_time(hours: float) -> str:
    for unit, seconds in (("hours", 3600.0), ("minutes", 60.0)):
        if hours * 3600 >= seconds:
            return f"{hours * 3600 / seconds:,.1f} {unit}"
    return f"{hours * 3600:.1f} seconds"


def _format_size(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _format_table(rows: Iterable[PlanRow]) -> list[str]:
    header = ("modality", "SOP class", "series", "objects", "GB", "requests", "GB read", "")
    cells = [
        (
            row.modality or "?",
            row.sop_class or "not known before its first header",
            f"{row.series:,}",
            f"{row.objects:,}",
            f"{row.size / 1e9:,.1f}",
            f"{row.requests:,}",
            f"{row.bytes_read / 1e9:,.1f}",
            row.reason or "",
        )
        for row in rows
    ]
    table = [header, *cells]
    widths = [max(len(line[column]) for line in table) for column in range(len(header))]
    return [
        "  ".join(
            cell.ljust(width) if column in (0, 1, 7) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]


def _find_facts(
    refs: list[SeriesRef], lookup: Lookup, endpoint_url: str | None
) -> Iterator[tuple[SeriesFacts, FactSource, Reason | None]]:
    """Find the facts of each series, and where they come from."""
    indexed = [lookup.index is not None and is_indexed(ref, endpoint_url) for ref in refs]
    uuids = [ref.series_uuid for ref in compress(refs, indexed)]
    known = describe_series(lookup.index, uuids) if lookup.index is not None else {}
    for series in known.values():
        yield build_facts(series.modality, series.sop_class_uid, series.n_instances, series.size_mb), "index", None
    others = [ref for ref, may_be in zip(refs, indexed, strict=True) if not (may_be and ref.series_uuid in known)]
    with ThreadPoolExecutor(_LISTINGS_AT_ONCE) as pool:
        for facts, reason in pool.map(lambda ref: _list_facts(ref, lookup), others):
            yield facts, "listing" if reason is None else "nothing", reason


def _list_facts(ref: SeriesRef, lookup: Lookup) -> tuple[SeriesFacts, Reason | None]:
    """List the objects of a series for their number and size; or tell the reason for which the series will fail."""
    known = lookup.sizes.get(ref.series_uuid) if ref.folder is not None else None
    if known is not None:
        return SeriesFacts(n_instances=known.objects, size=known.size), None
    try:
        store = lookup.store_of(ref.root, ref.endpoint_url)
        objects = list_series_objects(ref if ref.folder is None else find_again(ref, store), store)
    except DspBatchError as error:
        return SeriesFacts(), error.reason
    if not objects:
        return SeriesFacts(), "not-found"
    sizes = [each.size for each in objects if each.size is not None]
    return SeriesFacts(n_instances=len(objects), size=sum(sizes) if len(sizes) == len(objects) else None), None


def _find_reason(facts: SeriesFacts) -> Reason | None:
    if facts.sop_class_uid is None or not lacks_pictures(facts.sop_class_uid):
        return None
    return reason_to_skip([facts.sop_class_uid])


def _add(counts: _Sum, facts: SeriesFacts, options: PlanOptions, work: Work | None) -> None:
    counts.series += 1
    counts.objects += facts.n_instances or (work.objects if work else 0)
    counts.size += facts.size or 0
    if work is not None:
        counts.requests += work.requests
        counts.bytes_read += work.bytes_read
        counts.seconds += work.seconds(options.latency)
        counts.cpu_seconds += work.cpu_seconds


def _build_row(group: _Group, counts: _Sum) -> PlanRow:
    return PlanRow(
        modality=group.modality,
        sop_class_uid=group.sop_class_uid,
        sop_class=sop_class_name(group.sop_class_uid) if group.sop_class_uid else None,
        source=group.source,
        reason=group.reason,
        series=counts.series,
        objects=counts.objects,
        size=counts.size,
        requests=counts.requests,
        bytes_read=counts.bytes_read,
        seconds=round(counts.seconds, 3),
        cpu_seconds=round(counts.cpu_seconds, 3),
    )
