"""What all handlers share: check who asks, do the work in a thread, and send the answer or an error as JSON."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar

from tornado.web import HTTPError, RequestHandler, stream_request_body

from dsp_batch.errors import DspBatchError
from dsp_batch.web.viewer.server.answers import PHRASES, ApiAnswer, ApiError, answer_json, explain_failure, pack_answer
from dsp_batch.web.viewer.server.safety import SAFETY_HEADERS
from dsp_batch.web.viewer.server.session import ViewSession

_log = logging.getLogger(__name__)

LARGEST_BODY = 1 << 20
"""Bytes of the largest body of a request. Regions of a thousand boxes take 50 KB."""


@stream_request_body
class SafeHandler(RequestHandler):
    """Lets nobody in who may not ask, and turns every failure into JSON."""

    needs_token: ClassVar[bool] = True
    decodes: ClassVar[bool] = False
    """True where the answer is made from pixels."""

    parameters: ClassVar[frozenset[str] | None] = frozenset()
    """Names that the query may have; None where it is not read."""

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
        if self.parameters is not None and not self.request.query_arguments.keys() <= self.parameters:
            known = ", ".join(sorted(self.parameters)) or "none"
            raise ApiError(400, "invalid_query", f"the query has unknown parameters; this route knows {known}")

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
        answer = await self.session.run(lambda: pack(do()), lambda: self.is_closed, decodes=self.decodes)
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
