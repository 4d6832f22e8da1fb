"""A gallery of all of IDC: what it takes to write, and how its page answers in a real browser.

    python tests/benchmarks/scale_gallery.py
    python tests/benchmarks/scale_gallery.py --series 50000

The rows are made up, with as many collections, patients, studies and descriptions as IDC has; there are no pictures.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "web"))  # the rows that the tests of the gallery use

from browsers import run_browser
from gallery_cache import end_run, make_row, write_part

from dsp_batch.cache import Cache, open_cache
from dsp_batch.web.gallery import GalleryOptions, write_gallery

_IDC_SERIES = 1_044_191
_ROWS_PER_PART = 20_000
_RUN = "mosaic-preview-0123456789ab"
_UID = "1.3.6.1.4.1.14519.5.2.1.7009.2403."

_FILTERS = """async () => {
  const seconds = {};
  const measure = async (name, change) => {
    change();
    const begin = performance.now();
    await refilter();
    seconds[name] = (performance.now() - begin) / 1000;
  };
  await measure("filter", () => filters.facets.set("modality", new Set(["CT"])));
  await measure("second filter", () => filters.facets.set("body_part", new Set(["HEAD"])));
  await measure("no filter", () => filters.facets.clear());
  await measure("first search", () => { filters.search = "number 77"; });
  await measure("search", () => { filters.search = "number 778"; });
  await measure("first sort", () => { filters.search = ""; sorting.column = "n_instances"; });
  await measure("group by study", () => { sorting.column = ""; grouping.by = "study"; });
  await measure("no group", () => { grouping.by = "none"; });
  return seconds;
}"""

_FRAMES = 300

_SCROLL = """async () => {
  const frames = [];
  for (let step = 0, last = performance.now(); step < 300; step += 1) {
    document.getElementById("scroller").scrollTop += 120;
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - last);
    last = now;
  }
  frames.sort((one, other) => one - other);
  return {"p50": frames[150] / 1000, "p95": frames[285] / 1000};
}"""


def _write_rows(cache: Cache, count: int) -> None:
    job = {"verb": "mosaic", "name": "preview", "attempt": 1, "since": 1, "series": count, "started": "2026-01-01"}
    cache.write(f"runs/{_RUN}/job.json", json.dumps({**job, "options": {}}).encode())
    for part, start in enumerate(range(0, count, _ROWS_PER_PART)):
        rows = [_make_row(number) for number in range(start, min(start + _ROWS_PER_PART, count))]
        write_part(cache, _RUN, rows, part)
    end_run(cache, _RUN)


def _make_row(number: int) -> Any:
    patient, study = number // 12, number // 7
    columns = {
        "collection_id": f"collection_{patient % 179}",
        "patient_id": f"PAT-{patient:06d}",
        "study_description": f"Study {study % 20_000}",
        "series_description": f"Series number {number * 7919 % 99_920}",
    }
    series_uid, study_uid = f"{_UID}{number * 7919:030d}", f"{_UID}{study:030d}"
    return make_row(number, columns=columns, series_instance_uid=series_uid, study_instance_uid=study_uid)


def _measure_page(url: str, profile: Path) -> dict[str, float]:
    with run_browser(profile) as browser:
        page = browser.new_page()
        begin = time.monotonic()
        page.goto(url, wait_until="commit")
        page.locator("[role=gridcell] .picture").first.wait_for()
        first = time.monotonic() - begin
        page.get_by_role("group", name="Modality").wait_for()
        figures = {"first tiles": first, **page.evaluate(_FILTERS)}
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        before = _read_seconds(session)
        scrolled = page.evaluate(_SCROLL)
        figures["main thread a frame while scrolling, CPU"] = (_read_seconds(session) - before) / _FRAMES
        return {**figures, **{f"frame while scrolling, {name}": value for name, value in scrolled.items()}}


def _read_seconds(session: Any) -> float:
    """Seconds of CPU that the main thread of the page has taken: on a busy machine they tell more than the clock."""
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description="Measure the gallery of all of IDC.")
    parser.add_argument("--series", type=int, default=_IDC_SERIES, help="number of series")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = open_cache(folder / "cache")
        _write_rows(cache, parser.parse_args().series)
        before, begin = time.process_time(), time.monotonic()
        gallery = write_gallery(cache, GalleryOptions(atlas=False))
        figures = {"writing": time.monotonic() - begin, "writing, CPU": time.process_time() - before}
        figures |= _measure_page(Path(gallery.url).as_uri(), folder / "profile")
        size = sum(path.stat().st_size for path in (folder / "cache/gallery").rglob("*"))
    lines = [f"{what:42}{seconds:10.4f} s" for what, seconds in figures.items()]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    sys.stdout.write("\n".join([*lines, f"{'memory':42}{memory:10.0f} MB", f"{'size':42}{size / 1e6:10.0f} MB", ""]))


if __name__ == "__main__":
    main()
