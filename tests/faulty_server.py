"""A server of S3's and HTTP's kind that fails on command."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from time_limits import join_all


@dataclass
class FaultyServer:
    """A small S3 without signatures, which fails as told before it behaves."""

    url: str
    objects: dict[str, bytes]
    """Path → content; paths begin with a slash."""

    faults: list[str] = field(default_factory=list)
    """What to do to the next requests, one each.

    A status (`503`), `reset`, `close` or `hang` before the answer; `cut` (half of the body, then the end), `stall`
    (half of it, then silence), `slow` (in ten pieces), `whole` (200 and everything), `short` (half of the range, said
    so), `shifted` (other bytes, said so).
    """

    rate: float | None = None
    """Requests a second above which the server answers 503; None for any number."""

    requests: list[str] = field(default_factory=list)
    """Paths asked for."""

    refused: int = 0
    """Requests above the rate."""

    connections: int = 0
    """TCP connections that were opened."""

    tokens: float = 20.0
    """Requests that the rate allows now."""

    refilled: float = field(default_factory=time.monotonic)

    lock: threading.Lock = field(default_factory=threading.Lock)
    released: threading.Event = field(default_factory=threading.Event)
    """Set to let requests that hang go on."""


@contextmanager
def run_faulty_server(objects: dict[str, bytes]) -> Iterator[FaultyServer]:
    """Run a `FaultyServer` in threads of this process."""
    state = FaultyServer("", objects)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_FaultyHandler,), {"state": state}))
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()
        join_all(thread)


_ERROR_BODIES = {
    "503": b"<Error><Code>SlowDown</Code></Error>",
    "403": b"<Error><Code>AccessDenied</Code></Error>",
}


class _FaultyHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: FaultyServer

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""

    def setup(self) -> None:
        super().setup()
        with self.state.lock:
            self.state.connections += 1

    def _begin(self, path: str) -> str:
        """Note a request; what is to happen to it."""
        state = self.state
        with state.lock:
            state.requests.append(path)
            if state.rate is not None and not self._take_token(state.rate):
                state.refused += 1
                return "503"
            return state.faults.pop(0) if state.faults else ""

    def _take_token(self, rate: float) -> bool:
        now = time.monotonic()
        self.state.tokens = min(20.0, self.state.tokens + (now - self.state.refilled) * rate)
        self.state.refilled = now
        if self.state.tokens < 1:
            return False
        self.state.tokens -= 1
        return True

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        fault = self._begin(path)
        if fault in ("reset", "close", "hang"):
            self._break_off(fault)
        elif fault.isdigit():
            self._send(int(fault), _ERROR_BODIES.get(fault, b""))
        elif "list-type" in parts.query:
            self._list(path, parse_qs(parts.query).get("prefix", [""])[0])
        elif path not in self.state.objects:
            self._send(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self._send_object(self.state.objects[path], fault)

    def do_PUT(self) -> None:
        path = unquote(urlsplit(self.path).path)
        fault = self._begin(path)
        if fault in ("reset", "close", "hang"):
            self._break_off(fault)
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if fault:
            self._send(int(fault), _ERROR_BODIES.get(fault, b""))
        else:
            self.state.objects[path] = body
            self._send(200, b"")

    def _break_off(self, fault: str) -> None:
        if fault == "hang":
            self.state.released.wait(30)
        if fault == "reset":  # no lingering: the kernel sends RST
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close_connection = True
        self.connection.close()

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    def _send_object(self, content: bytes, fault: str) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        start, stop = (int(asked[1]), min(int(asked[2]) + 1, len(content))) if asked else (0, len(content))
        if start >= len(content):
            self._send(416, b"", Content_Range=f"bytes */{len(content)}")
            return
        if fault == "short":
            stop = (start + stop) // 2
        elif fault == "shifted":
            start, stop = start + 1, stop + 1
        body = content if fault == "whole" else content[start:stop]
        self.send_response(200 if fault == "whole" or not asked else 206)
        self.send_header("Content-Length", str(len(body)))
        if fault != "whole" and asked:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        self.send_header("Last-Modified", "Sat, 01 Jan 2022 00:00:00 GMT")
        self.end_headers()
        with suppress(OSError):
            self._send_body(body, fault)

    def _send_body(self, body: bytes, fault: str) -> None:
        if fault == "slow":
            for begin in range(0, len(body), len(body) // 10 or 1):
                self.wfile.write(body[begin : begin + (len(body) // 10 or 1)])
                time.sleep(0.01)
        elif fault in ("cut", "stall"):  # promise all and send half
            self.wfile.write(body[: len(body) // 2])
            if fault == "stall":
                self.state.released.wait(30)
            self.close_connection = True
        else:
            self.wfile.write(body)

    def _list(self, bucket: str, prefix: str) -> None:
        entries = "".join(
            f"<Contents><Key>{path[len(bucket) + 1 :]}</Key><Size>{len(content)}</Size>"
            "<LastModified>2022-01-01T00:00:00.000Z</LastModified></Contents>"
            for path, content in self.state.objects.items()
            if path.startswith(f"{bucket}/{prefix}")
        )
        self._send(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode())
