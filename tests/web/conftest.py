"""Galleries that tests of the page share, and pages of a browser that watch what the page does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from browsers import require_browser, run_browser
from gallery_cache import make_cache, make_row, write_run

from dsp_batch.cache import Cache
from dsp_batch.web.gallery import GalleryOptions, write_gallery

SERIES = 60


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """A cache of 60 series with a gallery, and contrast mosaics of two of them."""
    cache = make_cache(tmp_path_factory.mktemp("gallery") / "cache", SERIES)
    others = [make_row(number, "contrasts") for number in (0, 1)]
    write_run(cache, others, name="contrasts", verb="contrast-mosaic", started="2025-01-01T00:00:00+00:00")
    write_gallery(cache, GalleryOptions(title="Sixty series"))
    return cache


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    require_browser()
    with run_browser(tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture(scope="session")
def server(cache: Cache) -> Iterator[str]:
    """The cache behind Python's own HTTP server, below a path as a proxy would put it."""
    with serve(Path(cache.url).parent) as url:
        yield f"{url}/{Path(cache.url).name}"


class serve:  # noqa: N801  # used as a function
    """A folder behind `http.server`."""

    def __init__(self, folder: Path) -> None:
        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class Watched:
    """A page, and all that it said and asked for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.said: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("requestfailed", lambda request: self.said.append(f"failed: {request.url}"))
        page.on("request", lambda request: self.requests.append(request.url))

    def hosts(self) -> set[str]:
        return {urlsplit(url).netloc for url in self.requests if not url.startswith(("data:", "blob:"))}


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
