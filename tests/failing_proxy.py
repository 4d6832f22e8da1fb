"""A proxy in front of an HTTP or S3 server that fails as told."""

from __future__ import annotations

import http.client
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from time_limits import join_all

Fault = str
"""What happens to a request: a status (`503`), `reset`, `cut`, `freeze`, seconds of `delay` (`delay 0.1`), or none."""

PASS = ""


@dataclass
class FailingProxy:
    """Passes requests on, byte by byte, but for those that it is told to fail."""

    server: str
    """Host and port of the server behind it."""

    choose: Callable[[str, str], Fault] = lambda _method, _path: PASS
    """Method and path → what to do."""

    faults: list[Fault] = field(default_factory=list)
    """What to do to the next requests, before `choose` is asked."""

    url: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request so far, failed ones too."""

    failed: int = 0
    """Requests that did not get their answer."""

    released: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, method: str, part: str) -> int:
        """Requests so far with a method and a part of the path."""
        with self.lock:
            return sum(each == method and part in path for each, path in self.requests)


def fail_share(share: float, *faults: Fault, seed: int = 1) -> Callable[[str, str], Fault]:
    """Fail a share of the requests, by one of several faults each."""
    chance = random.Random(seed)
    return lambda _method, _path: chance.choice(faults) if chance.random() < share else PASS


@contextmanager
def run_proxy(proxy: FailingProxy, port: int = 0) -> Iterator[FailingProxy]:
    """Run a proxy in threads of this process; while none runs on its port, connections are refused."""
    server = _Server(("127.0.0.1", port), type("Handler", (_Handler,), {"proxy": proxy}))
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.released.set()
        server.shutdown()
        server.server_close()
        server.close_connections()
        join_all(thread)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.connections: set[socket.socket] = set()

    def process_request(self, request: socket.socket, client_address: object) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FailingProxy
    upstream: http.client.HTTPConnection | None = None

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = unquote(urlsplit(self.path).path)
        with self.proxy.lock:
            self.proxy.requests.append((self.command, path))
            fault = self.proxy.faults.pop(0) if self.proxy.faults else self.proxy.choose(self.command, path)
            self.proxy.failed += fault != PASS and not fault.startswith("delay")
        if fault in ("reset", "freeze"):
            self._break_off(fault)
            return
        if fault.isdigit():
            self._answer(int(fault), [], b"<Error><Code>SlowDown</Code></Error>")
            return
        if fault.startswith("delay"):
            time.sleep(float(fault.split()[1]))
        status, headers, answer = self._ask(body)
        self._answer(status, headers, answer, cut=fault == "cut")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815  # http.server's names

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Ask the server behind; the signature covers the Host header, which stays as it came."""
        if self.upstream is None:
            self.upstream = http.client.HTTPConnection(self.proxy.server, timeout=60)
        self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("connection", "expect"):
                self.upstream.putheader(name, value)
        self.upstream.endheaders(body)
        answer = self.upstream.getresponse()
        return answer.status, answer.getheaders(), answer.read()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        length = next((value for name, value in headers if name.lower() == "content-length"), str(len(body)))
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            with suppress(OSError):
                self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = self.close_connection or cut

    def _break_off(self, fault: str) -> None:
        if fault == "freeze":
            self.proxy.released.wait(60)
        with suppress(OSError):  # no lingering: the kernel sends RST
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close_connection = True
        self.connection.close()

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()
        if self.upstream is not None:
            self.upstream.close()
