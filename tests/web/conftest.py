"""Galleries that tests of the page share, and pages of a browser that watch what the page does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import SERIES, Watched, require_browser, run_browser, serve
from gallery_cache import make_cache, make_row, write_run

from dsp_batch.cache import Cache
from dsp_batch.web.gallery import GalleryOptions, write_gallery


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """A cache of 60 series with a gallery, and contrast mosaics of two of them."""
    cache = make_cache(tmp_path_factory.mktemp("gallery") / "cache", SERIES)
    others = [make_row(number, "contrasts") for number in (0, 1)]
    write_run(cache, others, name="contrasts", verb="contrast-mosaic", started="2025-01-01T00:00:00+00:00")
    write_gallery(cache, GalleryOptions(title="Sixty series"))
    return cache


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser for one file of tests: playwright holds the event loop of its thread until it is stopped."""
    require_browser()
    with run_browser(tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture(scope="session")
def server(cache: Cache) -> Iterator[str]:
    """The cache behind Python's own HTTP server, below a path as a proxy would put it."""
    with serve(Path(cache.url).parent) as url:
        yield f"{url}/{Path(cache.url).name}"


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[[str], Watched]]:
    """Open a page, wait for its tiles, and hold at the end that it said nothing on the console."""
    opened: list[Watched] = []

    def open_one(url: str) -> Watched:
        watched = Watched(browser.new_page())
        opened.append(watched)
        watched.page.goto(url)
        watched.page.get_by_role("status").get_by_text("series").first.wait_for()
        return watched

    yield open_one
    for watched in opened:
        if watched.page.url.startswith("file:") or watched.page.url.startswith("http:"):
            watched.page.evaluate("localStorage.clear()")
        watched.page.close()
        assert watched.said == []


@pytest.fixture
def page(open_page: Callable[[str], Watched], cache: Cache) -> Any:
    """The gallery of the shared cache, opened from disk."""
    return open_page(f"file://{cache.url}/gallery/index.html").page
