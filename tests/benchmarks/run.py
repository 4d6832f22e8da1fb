"""Measure the program on generated series, and hold the figures against the targets.

    python tests/benchmarks/run.py --quick
    python tests/benchmarks/run.py --only series --only startup --source disk --json figures.json
    python tests/benchmarks/run.py --write-docs
    python tests/benchmarks/run.py --profile 25 --source radosgw

Every figure is the median of runs in fresh processes. Nothing is asserted: a busy machine makes figures worse.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # servers.py, which the tests use too

from bench_batch import bench_batch
from bench_figures import Report
from bench_latency import bench_latency
from bench_manifests import bench_manifests
from bench_memory import bench_memory
from bench_objects import bench_objects
from bench_places import Bench, open_sources, write_series
from bench_series import bench_render, bench_requests, bench_series, bench_startup, profile
from bench_tables import as_json, describe_machine, format_report, select_for_page, write_page, write_sections
from bench_trees import bench_trees
from bench_viewer import bench_viewer

_PARTS = {
    "series": bench_series,
    "render": bench_render,
    "objects": bench_objects,
    "startup": bench_startup,
    "requests": bench_requests,
    "latency": bench_latency,
    "batch": bench_batch,
    "memory": bench_memory,
    "manifests": bench_manifests,
    "trees": bench_trees,
    "viewer": bench_viewer,
}
_SOURCES = ("disk", "nginx", "radosgw")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure dsp-batch on generated series.")
    parser.add_argument("--only", action="append", choices=_PARTS, help="a part to measure; repeat it; default: all")
    parser.add_argument("--source", action="append", choices=_SOURCES, help="a source to read; repeat it; default: all")
    parser.add_argument("--quick", action="store_true", help="small series and one run: does it work, not how fast")
    parser.add_argument("--runs", type=int, default=3, help="runs of which the median is taken")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="put the main tables into docs/explanation/performance.md; with --only, those of the parts alone",
    )
    parser.add_argument("--profile", type=int, metavar="LINES", help="profile the ct300 mosaic instead")
    parser.add_argument("--folder", type=Path, help="where to make the temporary folder (1 GB)")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def _compile_once(folder: Path) -> None:
    """Let the processes that are measured keep their bytecode, as installed programs do, whatever is set here."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder)


def _measure(report: Report, bench: Bench, arguments: argparse.Namespace) -> None:
    for part in arguments.only or _PARTS:
        report.figures.extend(_PARTS[part](bench))


def main() -> None:
    """Write the series, start the servers, measure, report."""
    arguments = _parse_arguments()
    report = Report(machine=describe_machine())
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="dsp-batch-bench-") as name:
        folder = Path(name)
        _compile_once(folder / "bytecode")
        _say("writing the series")
        series = write_series(folder / "www" / "series", is_quick=arguments.quick)
        _say("starting the servers")
        with open_sources(folder, report.notes, arguments.source or _SOURCES) as sources:
            bench = Bench(
                folder=folder,
                series=series,
                sources=sources,
                runs=1 if arguments.quick else arguments.runs,
                is_quick=arguments.quick,
                say=_say,
            )
            if arguments.profile:
                sys.stdout.writelines(profile(bench, arguments.profile))
                return
            _measure(report, bench, arguments)
    sys.stdout.write(format_report(report, report.figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(report), indent=1) + "\n", encoding="utf-8")
    if arguments.write_docs and arguments.only:
        write_sections(select_for_page(report.figures))
    elif arguments.write_docs:
        write_page(format_report(report, select_for_page(report.figures)))


if __name__ == "__main__":
    main()
