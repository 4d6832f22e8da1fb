"""Write the report as Markdown: all of it on the terminal, the figures that matter most on its page."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench_figures import CACHED, COLD, INDEX, TARGETS, UNITS, Figure, Report, is_met, worst

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "performance.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
_TITLES = {
    "series": "One series, by source",
    "render": "In memory, without a request",
    "startup": "Whole commands",
    "requests": "Requests alone",
    "objects": "Objects without pixels",
    "latency": "Latency",
    "batch": "Batches",
    "memory": "Memory",
    "viewer": "The viewer",
    "manifests": "Manifests of a million lines",
    "trees": "Trees of small files",
}
_FURTHEST_FIRST = ("radosgw", "nginx", "disk")
_PAGE_OPERATIONS = frozenset({COLD, CACHED, INDEX})
_PAGE_MANIFESTS = frozenset({"UUIDs", "s5cmd", "CSV, SeriesInstanceUID", "JSON lines", "Parquet", "garbage"})
_LIBRARIES = ("numpy", "obstore", "pillow", "pyarrow", "pydicom", "dask")


def describe_machine() -> dict[str, str]:
    """What the figures were measured on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _find_processor(),
        "cores": str(cores),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
    }


def _find_processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def select_for_page(figures: Sequence[Figure]) -> list[Figure]:
    """Select the figures of the page: one source and three operations of each series, and the common manifests.

    What is drawn in memory stands among the targets already.
    """
    measured = {figure.source for figure in figures if figure.part == "series"}
    source = next((each for each in _FURTHEST_FIRST if each in measured), None)
    is_shown = {
        "series": lambda figure: figure.source == source and figure.operation in _PAGE_OPERATIONS,
        "render": lambda _: False,
        "manifests": lambda figure: figure.case in _PAGE_MANIFESTS,
    }
    return [figure for figure in figures if is_shown.get(figure.part, lambda _: True)(figure)]


def format_report(report: Report, shown: Sequence[Figure]) -> str:
    """Format the machine, the targets held against all figures, and a table of the figures shown for each part."""
    machine = "; ".join(f"{name} {value}" for name, value in report.machine.items())
    parts = [f"Measured: {machine}.", "### Targets", _format_targets(report.figures)]
    for part, title in _TITLES.items():
        figures = [figure for figure in shown if figure.part == part]
        if figures:
            parts += [f"### {title}", _format_figures(figures)]
    parts += [f"Left out: {note}." for note in report.notes]
    return "\n\n".join(parts) + "\n"


def _format_targets(figures: Sequence[Figure]) -> str:
    rows = []
    for target in TARGETS:
        value = worst(target, figures)
        if value is not None:
            bound = f"{'≥' if target.at_least else '≤'} {_format_value(target.measure, target.bound)}"
            met = "met" if is_met(target, value) else "**not met**"
            rows.append([target.title, UNITS[target.measure].title, bound, _format_value(target.measure, value), met])
    return format_table(["what", "figure", "target", "measured, the worst of the sources", ""], rows)


def _format_figures(figures: Sequence[Figure]) -> str:
    measures = [name for name in UNITS if any(name in figure.values for figure in figures)]
    rows = [
        [
            *(figure.case, figure.source, figure.operation),
            *(_format_value(name, figure.values[name]) if name in figure.values else "" for name in measures),
        ]
        for figure in figures
    ]
    return format_table(["", "source", "operation", *(UNITS[name].title for name in measures)], rows)


def _format_value(measure: str, value: float) -> str:
    unit = UNITS[measure]
    return f"{value / unit.scale:,.{unit.digits}f}"


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_page(text: str, path: Path = PAGE) -> None:
    """Put the report between the markers of its page."""
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path.name} has no markers {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")


def write_sections(figures: Sequence[Figure], path: Path = PAGE) -> None:
    """Put the tables of the parts that were measured into the page, and leave those of all others as they are."""
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    text, end, after = rest.partition(END)
    head, *sections = text.strip().split("\n### ")
    known = {section.partition("\n")[0]: section.partition("\n")[2].strip() for section in sections}
    for part in dict.fromkeys(figure.part for figure in figures):
        known[_TITLES[part]] = _format_figures([figure for figure in figures if figure.part == part])
    order = ["Targets", *_TITLES.values()]
    titles = sorted(known, key=lambda title: order.index(title) if title in order else len(order))
    tables = "\n\n".join([head.strip(), *(f"### {title}\n\n{known[title]}" for title in titles)])
    path.write_text(f"{before}{begin}\n\n{tables}\n\n{end}{after}", encoding="utf-8")


def as_json(report: Report) -> Mapping[str, object]:
    """The report as plain values."""
    figures = [
        {
            "part": figure.part,
            "case": figure.case,
            "source": figure.source,
            "operation": figure.operation,
            "values": dict(figure.values),
        }
        for figure in report.figures
    ]
    targets = [
        {
            "what": target.title,
            "measure": target.measure,
            "bound": target.bound,
            "at_least": target.at_least,
            "measured": value,
            "met": is_met(target, value),
        }
        for target in TARGETS
        if (value := worst(target, report.figures)) is not None
    ]
    return {"machine": dict(report.machine), "figures": figures, "targets": targets, "notes": list(report.notes)}
