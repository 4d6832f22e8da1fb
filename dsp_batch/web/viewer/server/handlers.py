"""Answer requests: read the path and the query of each route, and pass on what they ask for."""

from __future__ import annotations

import hmac
import json
from typing import Any

from dsp_batch.version import __version__
from dsp_batch.web.viewer.server.answers import ApiError, answer_json
from dsp_batch.web.viewer.server.safe_handler import LARGEST_BODY, SafeHandler

MOST_LISTED = 100_000
"""Files or series that one answer lists, at most."""

LARGEST_PICTURE = 16_384
"""Columns of the widest picture that can be asked for."""


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

    decodes = True

    async def get(self, series: str) -> None:
        """Answer with the frames."""
        await self.work(lambda services: lambda: services.describe_series(series))


class SeriesPreviewHandler(SafeHandler):
    """`series/{id}/preview`: the picture or card of a series."""

    decodes = True

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

    decodes = True

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

    decodes = True

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

    decodes = True

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


class OverlaysHandler(SafeHandler):
    """`series/{id}/overlays`: other series that may lie over a series."""

    async def get(self, series: str) -> None:
        """Answer with a list."""
        await self.work(lambda services: lambda: services.list_overlays(series))


class OverlayHandler(SafeHandler):
    """`file/{i}/frame/{f}/overlay`: the overlay planes of a frame, or what another series says of it."""

    decodes = True

    async def get(self, number: str, frame_number: str) -> None:
        """Answer with a PNG picture that is white where planes are, or clear where the series says nothing."""
        file = self.number_of(number, "the number of a file")
        frame = self.number_of(frame_number, "the number of a frame")
        series, blank = self.get_query_argument("series", None), self.query_choice("blank", ("0", "1")) == "1"
        if series is None:
            await self.work(lambda services: lambda: services.draw_planes(file, frame))
        else:
            await self.work(lambda services: lambda: services.draw_overlay(file, frame, series, sends_blank=blank))


class TileHandler(SafeHandler):
    """`file/{i}/tile/{column}/{row}`: one tile of a level of a slide."""

    decodes = True

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
