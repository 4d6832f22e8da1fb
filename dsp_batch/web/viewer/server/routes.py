"""The routes of the server: which path is answered by what."""

from __future__ import annotations

from typing import NamedTuple

from tornado.web import Application

from dsp_batch.web.viewer.server import handlers
from dsp_batch.web.viewer.server.safe_handler import SafeHandler
from dsp_batch.web.viewer.server.session import ViewSession

_PART = "([^/]+)"
"""One part of a path, whatever it holds: handlers check it."""


class Route(NamedTuple):
    """One path of the API, with names in braces for the parts that vary."""

    path: str
    handler: type[SafeHandler]

    @property
    def pattern(self) -> str:
        """Return the regular expression of the path."""
        return "/api/" + "/".join(_PART if part.startswith("{") else part.replace(".", r"\.") for part in self.parts)

    @property
    def parts(self) -> list[str]:
        """Return the parts of the path."""
        return self.path.split("/")

    @property
    def methods(self) -> list[str]:
        """Return the HTTP methods that it answers."""
        own = vars(self.handler)
        return [method for method in ("GET", "PUT") if method.lower() in own]


ROUTES = (
    Route("health", handlers.HealthHandler),
    Route("files", handlers.FilesHandler),
    Route("series", handlers.SeriesListHandler),
    Route("series/{id}", handlers.SeriesHandler),
    Route("series/{id}/preview", handlers.SeriesPreviewHandler),
    Route("series/{id}/overlays", handlers.OverlaysHandler),
    Route("file/{i}/info", handlers.FileHandler),
    Route("file/{i}/frame/{f}", handlers.FrameHandler),
    Route("file/{i}/frame/{f}/raw", handlers.RawHandler),
    Route("file/{i}/frame/{f}/thumbnail", handlers.ThumbnailHandler),
    Route("file/{i}/frame/{f}/overlay", handlers.OverlayHandler),
    Route("file/{i}/tile/{column}/{row}", handlers.TileHandler),
    Route("file/{i}/tags", handlers.TagsHandler),
    Route("file/{i}/annotations", handlers.RegionsHandler),
    Route("annotations/export.csv", handlers.RegionsExportHandler),
)
"""The API. docs/reference/http-api.md describes each of these."""


def build_application(session: ViewSession) -> Application:
    """Make the application that answers for a session."""
    shared = {"session": session}
    routes = [(route.pattern, route.handler, shared) for route in ROUTES]
    page = [
        (r"/gallery-([\w-]+)/(.*)", handlers.GalleryHandler, shared),
        (r"/(shared/[\w.-]+|[\w.-]*)", handlers.PageHandler, shared),
    ]
    return Application(
        [*routes, (r"/api(?:/.*)?", handlers.UnknownHandler, shared), *page],
        default_handler_class=handlers.UnknownHandler,
        default_handler_args=shared,
        log_function=lambda _handler: None,
    )
