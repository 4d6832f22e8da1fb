"""The commands of `dsp-batch` about runs: what one would cost, how one stands, what failed, and one to try."""

from __future__ import annotations

import logging
from dataclasses import asdict
from io import BytesIO
from itertools import islice
from typing import Any

import click

from dsp_batch.cli.options import (
    SourceOptions,
    cluster_options,
    endpoint_option,
    json_option,
    log_options,
    source_options,
)
from dsp_batch.cli.outputs import check_output
from dsp_batch.cli.program import EXIT_ERROR
from dsp_batch.cli.tables import print_json, print_line, print_table
from dsp_batch.options import ClusterOptions, IndexOptions, MosaicOptions

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
    help="Frames of one preview; 0 for indices alone.",
)
@click.option("--cores", type=int, default=16, show_default=True, metavar="N", help="Worker threads, one a core.")
@click.option(
    "--latency",
    type=float,
    default=0.04,
    show_default=True,
    metavar="SECONDS",
    help="Time that storage takes to answer a request.",
)
@json_option
@source_options
@log_options
def plan(manifest: str, source: SourceOptions, *, as_json: bool, tiles: int, **assumed: Any) -> int:
    """Print what a run over a manifest would take: series by kind, what is skipped, requests, bytes and hours.

    Nothing is read of the series. What the IDC index does not know of them is told by their listings.
    """
    from dsp_batch.batch.plan.plan import describe_plan, plan_batch

    planned = plan_batch(
        manifest,
        MosaicOptions(tile_width=tiles, tile_height=1) if tiles else IndexOptions(),
        root=source.root,
        endpoint_url=source.endpoint_url,
        anonymous=source.anonymous,
        **assumed,
    )
    if as_json:
        print_json(describe_plan(planned))
    else:
        print_line(str(planned))
    return EXIT_ERROR if planned.rejected else 0


@click.command()
@click.argument("run", metavar="RUN|CACHE_DIR")
@json_option
@endpoint_option
@log_options
def status(run: str, *, as_json: bool, endpoint_url: str | None) -> None:
    """Print how runs stand: counts, failures by reason, throughput; of one run what its stages and series took too.

    It may be asked while a run goes on. RUN is the path or URL of a run's folder, which the command that made it has
    printed; CACHE_DIR stands for all runs in it.
    """
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


@click.command()
@click.argument("run")
@endpoint_option
@cluster_options
@log_options
def retry(run: str, endpoint_url: str | None, cluster: ClusterOptions) -> int:
    """Run the failed series of a run again, in the same run.

    RUN is the path or URL of a run's folder. Its job.json says what is done with them, and the run has kept its series:
    the manifest is not needed. Series that have no row, since the run was stopped, are worked on too.
    """
    from dsp_batch.batch.retry import retry_run
    from dsp_batch.batch.runs.job import find_run
    from dsp_batch.cache import open_cache
    from dsp_batch.cli.finish import finish
    from dsp_batch.cli.progress import open_progress

    cache, name = find_run(open_cache(run, endpoint_url))
    return finish(lambda: retry_run(cache, name, cluster, open_progress()))


@click.command()
@click.option("--collection-id", "collection_ids", multiple=True, metavar="ID", help="Collection; may be repeated.")
@click.option("--modality", "modalities", multiple=True, metavar="CODE", help="CT, MR, SM …; may be repeated.")
@click.option("--patient-id", "patient_ids", multiple=True, metavar="ID", help="PatientID; may be repeated.")
@click.option(
    "--study-instance-uid", "study_instance_uids", multiple=True, metavar="UID", help="Study; may be repeated."
)
@click.option(
    "--series-instance-uid", "series_instance_uids", multiple=True, metavar="UID", help="Series; may be repeated."
)
@click.option(
    "--analysis-results",
    type=click.Choice(["include", "exclude", "only"]),
    default="exclude",
    show_default=True,
    help="Segmentations, annotations and other results of analysis.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Take the first N series.")
@click.option("-o", "--output", required=True, metavar="FILE", help="File or storage URL to write; - prints it.")
@endpoint_option
@log_options
def manifest(output: str, endpoint_url: str | None, **selection: Any) -> None:
    """Write a manifest of series of the Imaging Data Commons that fit all the options given.

    It comes from the IDC index: pip install 'dsp-batch[idc]'. Several values of one option are alternatives.
    """
    if output != "-":
        check_output(output)
    from dsp_batch.batch.manifest.selection import list_selected
    from dsp_batch.idc import SeriesSelection
    from dsp_batch.storage.objects import write_once

    lines = list_selected(SeriesSelection(**selection))
    if output == "-":
        while some := list(islice(lines, _LINES_AT_ONCE)):
            print_line("\n".join(some))
    else:
        text = BytesIO()
        text.writelines(f"{line}\n".encode() for line in lines)
        write_once(output, text.getvalue(), endpoint_url=endpoint_url)
        _log.info("%d series in %s", text.getvalue().count(b"\n"), output)


@click.command()
@click.argument("folder", default="demo")
@cluster_options
@log_options
def demo(folder: str, cluster: ClusterOptions) -> int:
    """Draw and index a generated collection, without network: a first run to look at.

    FOLDER (./demo) gets series/, the collection, and cache/, what the batch made of it. One series is a report without
    pixels and is skipped, one is corrupt and fails; when that is what happens, the demo has succeeded.
    """
    from pathlib import Path

    from dsp_batch.batch.demo import run_demo
    from dsp_batch.cli.progress import open_progress

    shown = run_demo(Path(folder), cluster, open_progress())
    rows = [(title, shown.previews.get(uuid, "no preview")) for uuid, title in shown.titles.items()]
    print_table(("series", "preview"), rows)
    print_line("")
    for line in shown.unexpected:
        _log.error("%s", line)
    if not shown.unexpected:
        print_line(
            "as expected: the report has no pixels and is skipped, the corrupt series fails, the others are drawn"
        )
    print_line(str(shown.summary))
    return EXIT_ERROR if shown.unexpected else 0
