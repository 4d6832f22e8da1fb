"""What notebooks show of runs and of their results."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from dsp_batch import read_results, read_status, run_batch
from dsp_batch.batch.notebook import write_results_html
from dsp_batch.batch.runs.summary import RunSummary
from dsp_batch.options import MosaicOptions
from dsp_batch.phantom.series import build_ct, build_report, write_collection


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> RunSummary:
    """A run over a series that is drawn, one that is skipped, and one that is not there."""
    root = tmp_path_factory.mktemp("series")
    series = [build_ct(count=4, size=32), build_report()]
    write_collection(root, series)
    names = [*(each.series_uuid for each in series), "00000000-0000-0000-0000-000000000000"]
    options = MosaicOptions(image_width=16, tile_width=2)
    return run_batch(names, options, root=root, cache=root / "cache")


class Formatters:
    """The part of IPython that registers how a type is shown."""

    def __init__(self) -> None:
        self.shown: dict[type, Callable[[Any], str | None]] = {}

    def for_type(self, kind: type, function: Callable[[Any], str | None]) -> None:
        self.shown[kind] = function


def test_a_summary_prints_in_a_line_and_shows_counts_and_failures(summary: RunSummary) -> None:
    shown = summary._repr_html_()

    assert repr(summary).startswith("RunSummary(mosaic-mosaic-")
    assert "\n" not in repr(summary)
    assert "3 series: 1 done, 1 skipped, 1 failed" in shown
    assert "not-found" in shown


def test_a_status_prints_in_a_line_and_shows_counts(summary: RunSummary) -> None:
    status = read_status(summary.url)

    assert "\n" not in repr(status)
    assert "ended, 3 series" in repr(status)
    assert "1 done" in status._repr_html_()


def test_results_are_shown_by_their_pictures(summary: RunSummary) -> None:
    table = read_results(summary.url)

    shown = write_results_html(table)

    assert shown is not None
    assert shown.count("<img ") == 1
    assert "data:image/webp;base64," in shown
    assert "3 series" in shown


def test_a_picture_that_is_gone_is_told(summary: RunSummary) -> None:
    table = read_results(summary.url)
    row = next(each for each in table.to_pylist() if each["preview"])
    path = Path(summary.url).parents[1] / row["preview"]
    data = path.read_bytes()
    path.unlink()
    try:
        assert "the preview is gone" in (write_results_html(table) or "")
    finally:
        path.write_bytes(data)


def test_text_of_headers_is_no_html(summary: RunSummary) -> None:
    table = read_results(summary.url)
    titles = pa.array(["<script>alert(1)</script>"] * len(table))
    place = table.schema.get_field_index("title")

    shown = write_results_html(table.set_column(place, "title", titles).replace_schema_metadata(table.schema.metadata))

    assert shown is not None
    assert "<script>" not in shown


def test_a_notebook_learns_to_show_results_and_leaves_other_tables_alone(
    summary: RunSummary, monkeypatch: pytest.MonkeyPatch
) -> None:
    formatters = Formatters()
    shell = SimpleNamespace(display_formatter=SimpleNamespace(formatters={"text/html": formatters}))
    module = ModuleType("IPython")
    module.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)

    table = read_results(summary.url)

    assert "<img " in (formatters.shown[type(table)](table) or "")
    assert formatters.shown[type(table)](pa.table({"series_uuid": ["a"]})) is None
