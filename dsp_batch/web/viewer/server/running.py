"""Start the server of the viewer in a thread of its own, and end it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import webbrowser
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files as package_files
from pathlib import Path
from types import TracebackType
from typing import Self

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets, bind_unix_socket

from dsp_batch.errors import OptionsError
from dsp_batch.web.viewer.options import Listening, ViewOptions
from dsp_batch.web.viewer.server.answers import ApiAnswer
from dsp_batch.web.viewer.server.routes import build_application
from dsp_batch.web.viewer.server.safety import Guard, is_loopback
from dsp_batch.web.viewer.server.session import ViewSession

_log = logging.getLogger(__name__)

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}

_LARGEST_STREAM = 64 << 20
"""Bytes of a body that are read before the connection is closed; what is answered is far below that."""

_CHECK_SECONDS = 0.25
"""Seconds between two looks at whether the server has been idle for too long."""

_FAREWELL_SECONDS = 5.0
"""Seconds that the thread of the server may take to end."""


class RunningViewer:
    """A viewer that is running. It ends with `stop`, or with the `with` block that it was opened in.

    Args:
        session: What it shows.
        listening: Where it listens.
    """

    def __init__(self, session: ViewSession, listening: Listening) -> None:
        self._session, self._listening = session, listening
        self._sockets = _bind(listening)
        self.port: int | None = None if listening.unix_socket else self._sockets[0].getsockname()[1]
        """The port; None for a Unix socket."""

        self._loop = asyncio.new_event_loop()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="dsp-batch-server", daemon=True)
        self._thread.start()

    @property
    def base_url(self) -> str:
        """The address of the server, without the token."""
        if self._listening.unix_socket:
            return f"http+unix://{self._listening.unix_socket}"
        host = self._listening.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def token(self) -> str | None:
        """The bearer token of the API; None where none is asked for."""
        return self._session.guard.token

    @property
    def url(self) -> str:
        """The address to open in a browser. The token is in its fragment, which browsers send to nobody."""
        return f"{self.base_url}/" + (f"#token={self.token}" if self.token else "")

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the viewer has ended; True when it has, False when the time is over first."""
        return self._ended.wait(seconds)

    def wait_for_scan(self) -> bool:
        """Wait until all sources have been looked through; False where none names a series, which was logged."""
        self._session.wait_for_scan()
        return not self._session.finds_nothing

    def stop(self) -> None:
        """End the viewer. Nothing is left of it."""
        if not self._ended.is_set():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_FAREWELL_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        """Return one line, without the token."""
        return f"RunningViewer({self.base_url}, {'ended' if self._ended.is_set() else 'running'})"

    def _repr_html_(self) -> str:
        """Show a link in a notebook."""
        return f'<a href="{escape(self.url)}" target="_blank" rel="noopener">Viewer at {escape(self.base_url)}</a>'

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.call_soon(self._open)
            self._loop.run_forever()
        finally:
            self._session.stop()
            for each in self._sockets:
                each.close()
            self._loop.close()
            if self._listening.unix_socket:
                Path(self._listening.unix_socket).unlink(missing_ok=True)
            self._ended.set()

    def _open(self) -> None:
        server = HTTPServer(build_application(self._session), max_body_size=_LARGEST_STREAM)
        server.add_sockets(self._sockets)
        self._session.start()
        self._watch()

    def _watch(self) -> None:
        limit = self._listening.timeout
        if limit is None:
            return
        if self._session.idle_seconds > limit:
            _log.info("nothing was asked for %g s: the viewer ends", limit)
            self._loop.stop()
        else:
            self._loop.call_later(_CHECK_SECONDS, self._watch)


def start_viewer(sources: Sequence[str], options: ViewOptions, listening: Listening) -> RunningViewer:
    """Start a viewer; it answers at once, and looks through its sources meanwhile.

    Raises:
        OptionsError: It cannot listen there, or a source is not there.
    """
    _check_sources(sources)
    guard = Guard(host=listening.host) if listening.has_token else Guard(host=listening.host, token=None)
    if not listening.unix_socket and not is_loopback(listening.host):
        _log.warning(
            "the viewer listens at %s, where other machines can reach it: what it shows is sent unencrypted",
            listening.host,
        )
    return RunningViewer(ViewSession(sources, options, guard, read_page_files()), listening)


def view(  # noqa: PLR0913  # the options of the command, each by its name
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    browser: bool = True,
    block: bool = False,
    port: int = 0,
    host: str = "127.0.0.1",
    unix_socket: str | None = None,
    timeout: float | None = None,
    token: bool = True,
    recursive: bool = True,
    filters: Sequence[str] = (),
    annotations: str | os.PathLike[str] | None = None,
    mask: bool = False,
    cache_budget: int = 512,
    root: str | None = None,
    endpoint_url: str | None = None,
    anonymous: bool | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> RunningViewer:
    """Show series in a browser: every frame, its values and its header.

    Args:
        sources: DICOM files, folders, names or URLs of series, a manifest, or a cache directory; one or several.
        browser: Open the page in a browser.
        block: Wait until the viewer has ended: by Ctrl-C, or by its timeout.
        port: Port to listen at; 0 takes a free one.
        host: Name or address of this machine to listen at.
        unix_socket: Path of a socket to listen at instead of a port.
        timeout: Seconds without a request after which the viewer ends, counted from the end of the scan; None for none.
        token: Ask for the bearer token that the URL has in its fragment.
        recursive: Look for files in folders below a folder too.
        filters: Conditions `FIELD=VALUE` that every file shown fulfils.
        annotations: CSV of rectangular regions.
        mask: Show pseudonyms in place of the attributes of patients.
        cache_budget: Megabytes of frames that are kept in memory.
        root: As in `find_series`; None for the usual one.
        endpoint_url: As in `find_series`.
        anonymous: As in `find_series`.
        cache: Where indices are kept: a path or a URL; None to neither read nor write any.

    Returns:
        The running viewer, with its `url`. It ends with `stop()`, or with a `with` block. A notebook shows a
            link to it.

    Raises:
        OptionsError: It cannot listen there, or the regions or a filter are malformed.

    Example:
        >>> with view("series", browser=False) as viewer:
        ...     viewer.url.startswith("http://127.0.0.1:")
        True
    """
    several: Iterable[str | os.PathLike[str]] = [sources] if isinstance(sources, str | os.PathLike) else sources
    options = ViewOptions(
        root=root,
        endpoint_url=endpoint_url,
        anonymous=anonymous,
        cache=None if cache is None else os.fspath(cache),
        uses_cache=cache is not None,
        recursive=recursive,
        filters=tuple(filters),
        annotations=None if annotations is None else os.fspath(annotations),
        masked=mask,
        budget_mb=cache_budget,
    )
    listening = Listening(host=host, port=port, unix_socket=unix_socket, has_token=token, timeout=timeout)
    viewer = start_viewer([os.fspath(each) for each in several], options, listening)
    if browser:
        open_browser(viewer)
    if block:
        try:
            if viewer.wait_for_scan():
                viewer.wait()
        except KeyboardInterrupt:
            _log.info("stopped")
        finally:
            viewer.stop()
    return viewer


def open_browser(viewer: RunningViewer) -> None:
    """Open the page in a browser of this machine, without waiting for it."""
    threading.Thread(target=webbrowser.open, args=(viewer.url,), daemon=True).start()


def _check_sources(sources: Sequence[str]) -> None:
    """Refuse a path where nothing is, before the server is up. Names and URLs are looked up later."""
    for source in sources:
        is_path = "://" not in source and "*" not in source and ("/" in source or source.startswith("."))
        if is_path and not Path(source).expanduser().exists():
            raise OptionsError(f"{source}: there is no such file or folder")


def read_page_files() -> dict[str, ApiAnswer]:
    """Read the files of the page, each under its name, and those that it shares with the gallery, below `shared/`."""
    static = package_files("dsp_batch.web").joinpath("static")
    own = package_files("dsp_batch.web.viewer").joinpath("static")
    return {
        above + each.name: ApiAnswer(body=each.read_bytes(), media_type=_MEDIA_TYPES[Path(each.name).suffix])
        for above, folder in (("shared/", static), ("", own))
        for each in folder.iterdir()
        if Path(each.name).suffix in _MEDIA_TYPES
    }


def _bind(listening: Listening) -> list[socket.socket]:
    try:
        if listening.unix_socket:
            return [bind_unix_socket(listening.unix_socket, mode=0o600)]
        # One address: a name with two would listen at a free port of its own for each.
        return bind_sockets(listening.port, listening.host)[:1]
    except (OSError, ValueError) as error:
        where = listening.unix_socket or f"{listening.host}, port {listening.port}"
        reason = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
        raise OptionsError(f"the viewer cannot listen at {where}: {reason}") from error
