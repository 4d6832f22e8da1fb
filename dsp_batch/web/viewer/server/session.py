"""One run of the viewer: what its requests share, and the threads that work for them."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dsp_batch.errors import DspBatchError
from dsp_batch.web.viewer.catalog import Catalog
from dsp_batch.web.viewer.filters import parse_filter
from dsp_batch.web.viewer.options import ViewOptions
from dsp_batch.web.viewer.regions import read_rows
from dsp_batch.web.viewer.server.answers import ApiAnswer, ApiError
from dsp_batch.web.viewer.server.safety import Guard

_log = logging.getLogger(__name__)

MOST_WAITING = 64
"""Requests that wait for a thread, at most. Others are told to come again."""


_FAREWELL_SECONDS = 3.0
"""Seconds that the scan may take to end."""


class ViewSession:
    """What all requests share. It loads the rest of the program in a thread, so that the server is up at once.

    Args:
        sources: What to show.
        options: How to show it.
        guard: Who may ask.
        page_files: The files of the page by name.
    """

    def __init__(
        self, sources: Sequence[str], options: ViewOptions, guard: Guard, page_files: Mapping[str, ApiAnswer]
    ) -> None:
        self.options, self.guard, self.page_files = options, guard, page_files
        self.catalog = Catalog(shows_unread=not options.filters)
        # What is wrong with regions and filters is told before the server is up.
        self._rows = read_rows(options.annotations) if options.annotations else []
        for each in options.filters:
            parse_filter(each)
        self.instance = secrets.token_hex(8)
        self.start_ms = int(time.time() * 1000)
        self.gallery_secret = secrets.token_urlsafe(16)
        """Part of the path of the gallery: pictures of a page carry no token."""

        self.gallery_pending = any(Path(source, "runs").is_dir() for source in sources) and not options.masked
        """True until it is known whether there is a gallery."""

        self.gallery_path: str | None = None
        self.last_request = time.monotonic()
        self._sources = tuple(sources)
        self._services: Future[Any] = Future()
        threads = max(os.cpu_count() or 1, 2)
        self._decoders = ThreadPoolExecutor(threads, thread_name_prefix="dsp-batch-decode")
        self._tellers = ThreadPoolExecutor(2, thread_name_prefix="dsp-batch-tell")
        self._waiting = 0
        self._scanning = threading.Thread(target=self._scan, name="dsp-batch-scan", daemon=True)
        self.stopping = threading.Event()
        self._looked_through = threading.Event()
        self.finds_nothing = False
        """True where none of the sources names a series, which an error in the log explains."""

    def start(self) -> None:
        """Begin to load the program and to look through the sources."""
        self._scanning.start()

    def stop(self) -> None:
        """Stop the scan, give up all work that has not begun, and remove what was written."""
        self.stopping.set()
        for pool in (self._decoders, self._tellers):
            pool.shutdown(wait=False, cancel_futures=True)
        if self._scanning.is_alive():
            self._scanning.join(_FAREWELL_SECONDS)
        if self._services.done() and not self._services.exception():
            self._services.result().close()

    def wait_for_scan(self) -> None:
        """Wait until all sources have been looked through."""
        self._looked_through.wait()

    def note_request(self) -> None:
        """Note that somebody asked for something."""
        self.last_request = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last request; 0 during the scan."""
        return time.monotonic() - self.last_request if self.catalog.scan_complete else 0.0

    async def load_services(self) -> Any:
        """Wait until the program is loaded, and return its `ViewServices`."""
        return await asyncio.wrap_future(self._services)

    async def run(
        self, work: Callable[[], ApiAnswer], is_closed: Callable[[], bool], *, decodes: bool = True
    ) -> ApiAnswer | None:
        """Do some work in a thread.

        Args:
            work: The work.
            is_closed: Function that tells whether nobody waits for the answer any more; asked before the work begins.
            decodes: True for work on pixels, which what is told from headers need not wait for.

        Returns:
            The answer; None where nobody waits for it.

        Raises:
            ApiError: Too many requests wait already.
        """
        if self._waiting >= MOST_WAITING:
            raise ApiError(503, "decode_busy", "too many requests wait already: ask again in a second")
        self._waiting += 1
        try:
            pool = self._decoders if decodes else self._tellers
            return await asyncio.get_running_loop().run_in_executor(pool, lambda: None if is_closed() else work())
        finally:
            self._waiting -= 1

    def withhold(self, message: str) -> str:
        """Return a message about a failure, or less of it where patients are masked: names of files may be theirs."""
        return "this cannot be shown; while patients are masked, no more is told" if self.options.masked else message

    def _scan(self) -> None:
        try:
            # Loaded here because it takes most of a second, and the page may already be asked for.
            from dsp_batch.web.viewer.opening import open_services  # noqa: PLC0415

            services = open_services(self._sources, self.options, self.catalog, self._rows, self.stopping)
            self._services.set_result(services)
            if not self.stopping.is_set() and services.open_gallery():
                self.gallery_path = f"gallery-{self.gallery_secret}/gallery/index.html"
            self.gallery_pending = False
            self._look_through(services)
        except Exception as error:  # noqa: BLE001  # whatever it is, the server shows what was found before it
            self._note_failure(error)
        finally:
            self.gallery_pending = False
            self.catalog.scan_complete = True
            self.note_request()
            self._looked_through.set()

    def _look_through(self, services: Any) -> None:
        try:
            services.look_through(self._sources)
        except DspBatchError as error:
            self.finds_nothing = True
            _log.error("%s", error.message)

    def _note_failure(self, error: Exception) -> None:
        """Say why the scan has ended early; where nothing could be opened at all, every answer says it too."""
        reason = error.message if isinstance(error, DspBatchError) else f"unexpected {type(error).__name__}"
        _log.error("the scan ended early: %s", reason)
        _log.debug("it was raised here", exc_info=error)
        if not self._services.done():
            self._services.set_exception(error)
