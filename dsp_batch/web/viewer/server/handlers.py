"""Answer requests: check who asks, read the query, do the work in a thread, and send the answer or an error as JSON."""

from __future__ import annotations

import hmac
import json
import logging
import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar

from tornado.web import HTTPError, RequestHandler, stream_request_body

from dsp_batch.errors import DspBatchError
from dsp_batch.version import __version__
from dsp_batch.web.viewer.server.answers import PHRASES, ApiAnswer, ApiError, answer_json, explain_failure, pack_answer
from dsp_batch.web.viewer.server.safety import SAFETY_HEADERS
from dsp_batch.web.viewer.server.session import ViewSession

_log = logging.getLogger(__name__)

LARGEST_BODY = 1 << 20
"""Bytes of the largest body of a request. Regions of a thousand boxes take 50 KB."""

MOST_LISTED = 100_000
"""Files or series that one answer lists, at most."""

LARGEST_PICTURE = 16_384
"""Columns of the widest picture that can be asked for."""


@stream_request_body
class SafeHandler(RequestHandler):
    """Lets nobody in who may not ask, and turns every failure into JSON."""

    needs_token: ClassVar[bool] = True
    session: ViewSession

    def initialize(self, session: ViewSession) -> None:
        """Take the session that requests are answered from."""
        self.session = session
        self.is_closed = False
        self.received = bytearray()

    def set_default_headers(self) -> None:
        """Send the headers that keep a browser from doing more than it should."""
        for name, value in SAFETY_HEADERS.items():
            self.set_header(name, value)
        self.set_header("Server", "dicom-series-preview")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Vary", "Accept-Encoding")

    def prepare(self) -> None:
        """Check who asks, before anything else is read."""
        session, headers = self.session, self.request.headers
        session.note_request()
        self.set_header("X-Server-Instance", session.instance)
        host = headers.get("Host")
        if not session.guard.allows_host(host):
            raise ApiError(403, "host_not_allowed", "the Host of the request is not this machine")
        if not session.guard.allows_origin(headers.get("Origin"), host):
            raise ApiError(403, "origin_not_allowed", "the page that asks was not sent by this server")
        if self.needs_token and not session.guard.allows_token(headers.get("Authorization")):
            raise ApiError(401, "unauthorized", "the bearer token is missing or wrong: take it from the printed URL")

    def data_received(self, chunk: bytes) -> None:
        """Gather the body, as far as it may go and one byte further."""
        self.received += chunk[: LARGEST_BODY + 1 - len(self.received)]

    def on_connection_close(self) -> None:
        """Note that nobody waits for the answer any more."""
        self.is_closed = True

    def send(self, answer: ApiAnswer) -> None:
        """Send an answer."""
        self.set_header("Content-Type", answer.media_type)
        for name, value in answer.headers.items():
            self.set_header(name, value)
        self.finish(answer.body)

    async def work(self, find_work: Callable[[Any], Callable[[], ApiAnswer]]) -> None:
        """Do the work of a request in a thread, unless its connection is closed before its turn comes.

        Args:
            find_work: Function from the services of the viewer to the work.
        """
        do = find_work(await self.session.load_services())
        takes_gzip = "gzip" in self.request.headers.get("Accept-Encoding", "")
        pack: Callable[[ApiAnswer], ApiAnswer] = pack_answer if takes_gzip else lambda answer: answer
        answer = await self.session.run(lambda: pack(do()), lambda: self.is_closed)
        if answer is not None and not self.is_closed:
            self.send(answer)

    def write_error(self, status_code: int, **details: Any) -> None:
        """Write an error as JSON, without a traceback."""
        error = details.get("exc_info", (None, None, None))[1]
        failure = self._explain(status_code, error)
        self.set_status(failure.status, HTTPStatus(failure.status).phrase)
        if failure.status == 401:
            self.set_header("WWW-Authenticate", 'Bearer realm="dicom-series-preview"')
        if failure.status == 503:
            self.set_header("Retry-After", "1")
        self.send(answer_json({"code": failure.code, "error": self.session.withhold(failure.message)}))

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        """Log faults of the server itself, with what led to them in the detailed log only."""
        if isinstance(value, ApiError | DspBatchError | HTTPError):
            return
        _log.error("a request failed: unexpected %s", getattr(kind, "__name__", kind))
        _log.debug("it was raised here", exc_info=(kind, value, trace))

    def _explain(self, status: int, error: BaseException | None) -> ApiError:
        if isinstance(error, ApiError):
            return error
        if isinstance(error, DspBatchError):
            return explain_failure(error)
        if status == 500:
            return ApiError(500, "internal_error", "the server failed to answer: its log says more with -v")
        known = status if status in PHRASES else 400
        return ApiError(known, PHRASES[known], HTTPStatus(known).phrase.lower())

    def number_of(self, text: str, name: str, most: int = 10**9) -> int:
        """Read a whole number of a path or a query.

        Raises:
            ApiError: It is none, or too large.
        """
        if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= most):
            raise ApiError(400, "invalid_query", f"{name} must be a whole number from 0 to {most}")
        return int(text)

    def query_number(self, name: str, default: int, most: int = 10**9) -> int:
        """Read a whole number of the query."""
        text = self.get_query_argument(name, None)
        return default if text is None else self.number_of(text, name, most)

    def query_choice(self, name: str, choices: tuple[str, ...]) -> str:
        """Read one of some words of the query; the first is the default."""
        text = self.get_query_argument(name, choices[0])
        if text not in choices:
            raise ApiError(400, "invalid_query", f"{name} must be one of {', '.join(choices)}")
        return text

    def query_real(self, name: str) -> float | None:
        """Read a number of the query; None where it is absent."""
        text = self.get_query_argument(name, None)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ApiError(400, "invalid_query", f"{name} must be a number")
        return value


class HealthHandler(SafeHandler):
    """`health`: what the server is, and how far its scan has come."""

    def get(self) -> None:
        """Answer at once, also while the rest of the program is still loading."""
        session = self.session
        self.send(
            answer_json(
                {
                    "status": "ok",
                    "version": __version__,
                    "file_count": session.catalog.file_count,
                    "series_count": session.catalog.series_count,
                    "scan_complete": session.catalog.scan_complete,
                    "server_start_ms": session.start_ms,
                    "masked": session.options.masked,
                    "gallery": session.gallery_path,
                    "gallery_pending": session.gallery_pending,
                }
            )
        )


class FilesHandler(SafeHandler):
    """`files`: the files found so far."""

    async def get(self) -> None:
        """Answer with the files from a number on."""
        since, limit = self.query_number("since", 0), self.query_number("limit", MOST_LISTED, MOST_LISTED)
        await self.work(lambda services: lambda: services.list_files(since, limit))


class SeriesListHandler(SafeHandler):
    """`series`: the series found so far."""

    async def get(self) -> None:
        """Answer with the series that have changed since a revision."""
        since, limit = self.query_number("since", 0), self.query_number("limit", MOST_LISTED, MOST_LISTED)
        await self.work(lambda services: lambda: services.list_series(since, limit))


class SeriesHandler(SafeHandler):
    """`series/{id}`: the frames of a series in display order."""

    async def get(self, series: str) -> None:
        """Answer with the frames."""
        await self.work(lambda services: lambda: services.describe_series(series))


class SeriesPreviewHandler(SafeHandler):
    """`series/{id}/preview`: the picture or card of a series."""

    async def get(self, series: str) -> None:
        """Answer with a WebP picture."""
        await self.work(lambda services: lambda: services.draw_preview(series))


class FileHandler(SafeHandler):
    """`file/{i}/info`: what is known of a file."""

    async def get(self, number: str) -> None:
        """Answer with its facts."""
        file = self.number_of(number, "the number of a file")
        await self.work(lambda services: lambda: services.describe_file(file))


class FrameHandler(SafeHandler):
    """`file/{i}/frame/{f}`: the picture of a frame."""

    async def get(self, number: str, frame_number: str) -> None:
        """Answer with a picture file, at once where it is in memory."""
        file = self.number_of(number, "the number of a file")
        frame = self.number_of(frame_number, "the number of a frame")
        asked = self._read_query()
        services = await self.session.load_services()
        options = services.picture_options(**asked)
        kept = services.find_picture(file, frame, options)
        if kept is not None:
            self.send(kept)
            return
        await self.work(lambda services: lambda: services.draw_picture(file, frame, options))

    def _read_query(self) -> dict[str, Any]:
        center, width = self.query_real("wc"), self.query_real("ww")
        if (center is None) != (width is None):
            raise ApiError(400, "invalid_window", "give both wc and ww, or neither")
        if width is not None and width <= 0:
            raise ApiError(400, "invalid_window", "ww must be a positive number")
        return {
            "center": center,
            "width": width,
            "mode": self.query_choice("mode", ("default", "full_dynamic")),
            "format": self.query_choice("format", ("png", "webp", "jpeg")),
            "columns": self.query_number("width", 0, LARGEST_PICTURE) or None,
            "burns_overlays": self.query_choice("overlays", ("0", "1")) == "1",
        }


class ThumbnailHandler(SafeHandler):
    """`file/{i}/frame/{f}/thumbnail`: a small picture of a frame."""

    async def get(self, number: str, frame_number: str) -> None:
        """Answer with a JPEG picture that fits into a square."""
        file = self.number_of(number, "the number of a file")
        frame = self.number_of(frame_number, "the number of a frame")
        size = max(self.query_number("size", 128, 1024), 16)
        services = await self.session.load_services()
        options = services.thumbnail_options(size)
        kept = services.find_picture(file, frame, options)
        if kept is not None:
            self.send(kept)
            return
        await self.work(lambda services: lambda: services.draw_picture(file, frame, options))


class RawHandler(SafeHandler):
    """`file/{i}/frame/{f}/raw`: the decoded samples of a frame."""

    async def get(self, number: str, frame_number: str) -> None:
        """Answer with little-endian samples."""
        file = self.number_of(number, "the number of a file")
        frame = self.number_of(frame_number, "the number of a frame")
        await self.work(lambda services: lambda: services.read_samples(file, frame))


class TagsHandler(SafeHandler):
    """`file/{i}/tags`: the elements of a header."""

    async def get(self, number: str) -> None:
        """Answer with a page of nodes below a path."""
        file = self.number_of(number, "the number of a file")
        path = self.get_query_argument("path", "")
        offset, limit = self.query_number("offset", 0), self.query_number("limit", 1000, 1000)
        await self.work(lambda services: lambda: services.list_tags(file, path, offset, limit))


class RegionsHandler(SafeHandler):
    """`file/{i}/annotations`: the regions of a file."""

    async def get(self, number: str) -> None:
        """Answer with the regions."""
        file = self.number_of(number, "the number of a file")
        await self.work(lambda services: lambda: services.list_regions(file))

    async def put(self, number: str) -> None:
        """Replace the regions, and answer with what was taken."""
        file = self.number_of(number, "the number of a file")
        if self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise ApiError(415, "unsupported_media_type", "regions are sent as application/json")
        if len(self.received) > LARGEST_BODY:
            raise ApiError(413, "body_too_large", f"a body may have {LARGEST_BODY} bytes")
        try:
            value = json.loads(self.received)
        except (ValueError, RecursionError):
            raise ApiError(400, "invalid_json", "the body is no JSON") from None
        if not isinstance(value, dict):
            raise ApiError(400, "invalid_json", "the body must be an object with roi_coords")
        await self.work(lambda services: lambda: services.replace_regions(file, value))


class RegionsExportHandler(SafeHandler):
    """`annotations/export.csv`: the regions of all files."""

    async def get(self) -> None:
        """Answer with a CSV."""
        await self.work(lambda services: services.export_regions)


class OverlayHandler(SafeHandler):
    """`file/{i}/frame/{f}/overlay`: the overlay planes of a frame."""

    async def get(self, number: str, frame_number: str) -> None:
        """Answer with a PNG picture that is white where graphics are."""
        file = self.number_of(number, "the number of a file")
        frame = self.number_of(frame_number, "the number of a frame")
        await self.work(lambda services: lambda: services.draw_overlay(file, frame))


class LayersHandler(SafeHandler):
    """`series/{id}/layers`: other series that may lie over a series."""

    async def get(self, series: str) -> None:
        """Answer with a list."""
        await self.work(lambda services: lambda: services.list_layers(series))


class LayerHandler(SafeHandler):
    """`file/{i}/frame/{f}/layer/{id}`: what another series says of a frame."""

    async def get(self, number: str, frame_number: str, series: str) -> None:
        """Answer with a PNG picture that is clear where nothing is said."""
        file = self.number_of(number, "the number of a file")
        frame = self.number_of(frame_number, "the number of a frame")
        await self.work(lambda services: lambda: services.draw_layer(file, frame, series))


class TileHandler(SafeHandler):
    """`file/{i}/tile/{column}/{row}`: one tile of a level of a slide."""

    async def get(self, number: str, column_number: str, row_number: str) -> None:
        """Answer with a JPEG picture of the tile."""
        file = self.number_of(number, "the number of a file")
        column = self.number_of(column_number, "the column of a tile")
        row = self.number_of(row_number, "the row of a tile")
        await self.work(lambda services: lambda: services.draw_tile(file, column, row))


class GalleryHandler(SafeHandler):
    """The gallery of a cache directory, and its previews."""

    needs_token = False

    async def get(self, secret: str, name: str) -> None:
        """Answer with a file, to those who know the path: what a page loads carries no token."""
        if not hmac.compare_digest(secret.encode(), self.session.gallery_secret.encode()):
            raise ApiError(404, "asset_not_found", "there is no such page")
        await self.work(lambda services: lambda: services.find_gallery_file(name))


class UnknownHandler(SafeHandler):
    """Every other path below `/api`, and everywhere else."""

    def prepare(self) -> None:
        """Refuse the path, but only to those who may ask at all."""
        super().prepare()
        raise ApiError(404, "route_not_found", "there is no such route: the reference of the HTTP API lists all")


class PageHandler(SafeHandler):
    """The page of the viewer and its files."""

    needs_token = False

    def get(self, name: str) -> None:
        """Answer with one of the files that were read at the start; names lead nowhere else."""
        found = self.session.page_files.get(name or "index.html")
        if found is None:
            raise ApiError(404, "asset_not_found", "the page has no such file")
        self.send(found)
