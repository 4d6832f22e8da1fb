"""The commands of `dsp-batch` about runs: plan one, show its status, retry its failures, write a manifest, a demo."""

from __future__ import annotations

import logging
from dataclasses import asdict
from itertools import islice
from typing import Any

import click

from dsp_batch.cli.options import (
    AllowedFailures,
    SourceOptions,
    allow_failures_option,
    cluster_options,
    endpoint_option,
    json_option,
    log_options,
    only_below_root_option,
    source_options,
)
from dsp_batch.cli.outputs import check_output
from dsp_batch.cli.program import EXIT_ERROR
from dsp_batch.cli.tables import print_json, print_line, print_table
from dsp_batch.errors import FAILURE_REASONS, Reason
from dsp_batch.options import LATENCY, ClusterOptions, IndexOptions, MosaicOptions, PreviewOptions

# ruff: noqa: PLC0415  # whatever a command needs is imported when it runs, so that --help is quick

_log = logging.getLogger(__name__)

_LINES_AT_ONCE = 4_096


@click.command()
@click.argument("manifest")
@click.option(
    "--tiles",
    type=click.IntRange(min=0),
    default=36,
    show_default=True,
    metavar="N",
    help="Number of frames in a preview; 0 to plan indices alone.",
)
@click.option(
    "--preview", "is_preview", is_flag=True, help="Plan `preview`: series without pixels are drawn too, not skipped."
)
@click.option(
    "--cores", type=int, default=16, show_default=True, metavar="N", help="Number of worker threads, one per core."
)
@click.option(
    "--latency",
    type=float,
    default=LATENCY,
    show_default=True,
    metavar="SECONDS",
    help="Seconds that storage takes to answer a request.",
)
@only_below_root_option
@json_option
@source_options
@log_options
def plan(manifest: str, source: SourceOptions, *, as_json: bool, is_preview: bool, tiles: int, **others: Any) -> int:
    """Estimate a run over a manifest: series by kind, skipped series, requests, bytes and hours.

    No object is read. Series that are not in the IDC index are estimated from their listings.
    """
    from dsp_batch.batch.plan.plan import describe_plan, plan_batch

    frames = MosaicOptions(tile_width=tiles, tile_height=1) if tiles else IndexOptions()
    planned = plan_batch(
        manifest,
        PreviewOptions() if is_preview else frames,
        root=source.root,
        endpoint_url=source.endpoint_url,
        anonymous=source.anonymous,
        **others,
    )
    if as_json:
        print_json(describe_plan(planned))
    else:
        for line in str(planned).splitlines():
            print_line(line)
    return EXIT_ERROR if planned.rejected else 0


@click.command()
@click.argument("run", metavar="RUN|CACHE_DIR")
@click.option("--failed", is_flag=True, help="List the series that failed and why, as a manifest.")
@json_option
@endpoint_option
@log_options
def status(run: str, *, failed: bool, as_json: bool, endpoint_url: str | None) -> None:
    """Print the status of runs: series by status, failures by reason, throughput.

    For a single run it also prints the time of its stages and series. It works while a run goes on. RUN is the path or
    URL of a run's folder, which the command that started the run has printed; CACHE_DIR means all runs in it.
    """
    if failed:
        _print_failures(run, endpoint_url, as_json=as_json)
        return
    from dsp_batch.batch.runs.figures import format_figures
    from dsp_batch.batch.runs.status import read_statuses

    statuses = read_statuses(run, endpoint_url)
    if as_json:
        print_json([{**values.pop("figures"), **values} for values in map(asdict, statuses)])
        return
    counted = ("done", "kept", "skipped", "failed")
    rows = [
        (
            each.run,
            "ended" if each.finished else "open",
            each.series,
            *(each.figures.by_status.get(name, 0) for name in counted),
            each.series - each.figures.series,
            each.figures.series_per_second,
            each.figures.megabytes_per_second,
        )
        for each in statuses
    ]
    print_table(("run", "state", "series", *counted, "left", "series/s", "MB/s"), rows)
    reasons = [(each.run, reason, count) for each in statuses for reason, count in each.figures.by_reason.items()]
    if reasons:
        print_line("")
        print_table(("run", "reason", "series"), reasons)
    if len(statuses) == 1:
        print_line("")
        for line in format_figures(statuses[0].figures):
            print_line(line)


def _print_failures(place: str, endpoint_url: str | None, *, as_json: bool) -> None:
    """Print the failed series of runs as a manifest with a comment before each run, or as JSON."""
    from dsp_batch.batch.runs.failures import list_failed_lines
    from dsp_batch.batch.runs.status import read_failures

    found = read_failures(place, endpoint_url)
    if as_json:
        print_json([{"run": run, **asdict(failure)} for run, failures in found for failure in failures])
        return
    for run, failures in found:
        print_line(f"# {run}: {len(failures):,} failed")
        for line in list_failed_lines(failures):
            print_line(line)


def _refuse_directory(_context: click.Context, _option: click.Parameter, directory: str | None) -> None:
    if directory is not None:
        raise click.UsageError(f"retry takes the folder of a run, not --cache-dir: give {directory}/runs/RUN")


@click.command()
@click.argument("run")
@click.option(
    "--cache-dir", hidden=True, expose_value=False, is_eager=True, callback=_refuse_directory, help="Not taken."
)
@click.option(
    "--reason",
    "reasons",
    type=click.Choice(FAILURE_REASONS),
    multiple=True,
    metavar="REASON",
    help="Try only series that failed for this reason, such as network or timeout; repeatable.",
)
@allow_failures_option
@endpoint_option
@cluster_options
@log_options
def retry(
    run: str,
    *,
    reasons: tuple[Reason, ...],
    allowed: AllowedFailures,
    endpoint_url: str | None,
    cluster: ClusterOptions,
) -> int:
    """Try the failed series of a run again, as part of the same run.

    RUN is the path or URL of a run's folder. It holds the options and the series of the run, so the manifest is not
    needed. Series that have no row because the run was stopped are tried too, unless --reason is given.
    """
    from dsp_batch.batch.retry import retry_run
    from dsp_batch.batch.runs.job import find_run
    from dsp_batch.cache import open_cache
    from dsp_batch.cli.finish import finish
    from dsp_batch.cli.progress import open_progress

    cache, name = find_run(open_cache(run, endpoint_url))
    return finish(lambda: retry_run(cache, name, cluster, open_progress(), frozenset(reasons)), allowed)


@click.command()
@click.option(
    "--collection-id", "collection_ids", multiple=True, metavar="ID", help="Collection to include; repeatable."
)
@click.option(
    "--modality",
    "modalities",
    multiple=True,
    metavar="CODE",
    help="Modality to include, such as CT, MR or SM; repeatable.",
)
@click.option("--patient-id", "patient_ids", multiple=True, metavar="ID", help="PatientID to include; repeatable.")
@click.option(
    "--study-instance-uid", "study_instance_uids", multiple=True, metavar="UID", help="Study to include; repeatable."
)
@click.option(
    "--series-instance-uid", "series_instance_uids", multiple=True, metavar="UID", help="Series to include; repeatable."
)
@click.option(
    "--analysis-results",
    type=click.Choice(["include", "exclude", "only"]),
    default="exclude",
    show_default=True,
    help="How to treat segmentations, annotations and other analysis results.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Write the first N series only.")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="File or storage URL to write: a table if it ends in .csv or .parquet, else s5cmd commands; - is standard "
    "output.",
)
@endpoint_option
@log_options
def manifest(output: str, endpoint_url: str | None, **selection: Any) -> None:
    """Write a manifest of the series of the Imaging Data Commons that match all given options.

    Needs the IDC index: pip install 'dsp-batch[idc]'. If an option is repeated, a series must match one of its values.
    """
    if output != "-":
        check_output(output)
    from dsp_batch.batch.manifest.from_idc import list_selected, write_selected
    from dsp_batch.idc.selection import SeriesSelection
    from dsp_batch.storage.objects import write_whole

    chosen = SeriesSelection(**selection)
    if output == "-":
        lines = list_selected(chosen)
        while some := list(islice(lines, _LINES_AT_ONCE)):
            click.echo("\n".join(some).encode())
    else:
        written = write_selected(chosen, output)
        write_whole(output, written.data, endpoint_url=endpoint_url)
        _log.info("%d series in %s", written.series, output)


@click.command()
@click.argument("folder", default="demo")
@cluster_options
@log_options
def demo(folder: str, cluster: ClusterOptions) -> int:
    """Try a whole run on a generated collection, without network.

    The collection is written to FOLDER/series and the results to FOLDER/cache; FOLDER is ./demo by default. Every
    series gets a picture but one, which is corrupt and fails. The demo succeeds if exactly that happens. The page that
    shows them all is printed first: open it in a browser.
    """
    from pathlib import Path

    from dsp_batch.batch.demo import run_demo
    from dsp_batch.cache import open_cache
    from dsp_batch.cli.progress import open_progress
    from dsp_batch.web.gallery import GalleryOptions, write_gallery

    shown = run_demo(Path(folder), cluster, open_progress())
    gallery = write_gallery(open_cache(shown.source.parent / "cache"), GalleryOptions(title="dsp-batch demo"))
    print_line(gallery.url)
    print_line("")
    rows = [(title, shown.previews.get(uuid, "no preview")) for uuid, title in shown.titles.items()]
    print_table(("series", "preview"), rows)
    print_line("")
    for line in shown.unexpected:
        _log.error("%s", line)
    if not shown.unexpected:
        print_line("as expected: the corrupt series fails, the others are drawn")
    print_line(str(shown.summary))
    return EXIT_ERROR if shown.unexpected else 0
