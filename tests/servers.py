"""Real servers on loopback: Ceph's S3, nginx, Python's http.server, and one that fails on command."""

from __future__ import annotations

import ctypes
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def require_programs(*names: str) -> None:
    """Skip the test where a server is not installed; fail it where everything must be, in CI."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def find_free_port() -> int:
    """A TCP port of loopback that nobody listens on."""
    while True:
        port = random.randrange(10_000, 32_000)  # below the ports that clients are given
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def run_process(command: Sequence[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends, however it ends."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            preexec_fn=_die_with_parent,  # noqa: PLW1509  # even a killed pytest leaves no server behind
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(condition: Callable[[], bool], seconds: float, what: str, log: Path) -> None:
    """Wait until a server is ready."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            pytest.fail(f"{what} is not ready after {seconds} s:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


def answers(url: str) -> bool:
    """Whether a server answers at all."""
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class S3Server:
    """Ceph's RADOS gateway."""

    endpoint: str
    key: str = "testkey"
    secret: str = "testsecret"

    @lru_cache(maxsize=1)  # noqa: B019  # one server a session
    def client(self):  # noqa: ANN201  # botocore makes its classes at run time
        """A botocore client, the reference for what lies in the buckets."""
        import botocore.session
        from botocore.config import Config

        return botocore.session.Session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            config=Config(s3={"addressing_style": "path"}),
        )

    def create_bucket(self, name: str, *, public: bool = False) -> None:
        """Create a bucket; a public one can be listed and read by everybody."""
        client = self.client()
        client.create_bucket(Bucket=name)
        if public:
            statement = '{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:ListBucket"],"Resource":%s}'
            resources = f'["arn:aws:s3:::{name}","arn:aws:s3:::{name}/*"]'
            policy = '{"Version":"2012-10-17","Statement":[' + statement % resources + "]}"
            client.put_bucket_policy(Bucket=name, Policy=policy)

    def put(self, bucket: str, objects: dict[str, bytes]) -> None:
        """Write objects."""
        client = self.client()
        for key, data in objects.items():
            client.put_object(Bucket=bucket, Key=key, Body=data)

    def put_many(self, bucket: str, objects: dict[str, bytes]) -> None:
        """Write objects with plain keys, many at once."""
        import obstore
        from obstore.store import S3Store

        keys = {"access_key_id": self.key, "secret_access_key": self.secret}
        store = S3Store(bucket, endpoint=self.endpoint, **keys, client_options={"allow_http": True})
        with ThreadPoolExecutor(16) as threads:
            list(threads.map(lambda each: obstore.put(store, *each), objects.items()))


_CEPH = """
[global]
fsid = {fsid}
mon host = v1:127.0.0.1:{monitor}
public network = 127.0.0.0/8
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
mon allow pool size one = true
mon initial members = a
mon max pg per osd = 1000
mon tick interval = 1
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 1073741824
osd class load list = *
osd class default list = *
osd heartbeat interval = 1
run dir = {directory}
admin socket =
log file = {directory}/$name.log
ms bind ipv6 = false
ms bind msgr2 = false
paxos propose interval = 0.02
paxos min wait = 0.01
[mon.a]
mon data = {directory}/mon
[osd.0]
osd data = {directory}/osd
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw data = {directory}/rgw
"""


@contextmanager
def run_s3(directory: Path) -> Iterator[S3Server]:
    """Run a Ceph of one node that keeps everything in memory, with its S3 gateway."""
    require_programs("radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "monmaptool")
    port, monitor = find_free_port(), find_free_port()
    fsid, log, configuration = str(uuid.uuid4()), directory / "servers.out", directory / "ceph.conf"
    for part in ("mon", "osd", "rgw"):
        (directory / part).mkdir()
    configuration.write_text(_CEPH.format(fsid=fsid, monitor=monitor, port=port, directory=directory))

    def prepare(*command: str) -> None:
        environment = {**os.environ, "CEPH_CONF": str(configuration)}
        with log.open("ab") as output:
            subprocess.run(command, check=True, env=environment, stdout=output, stderr=output, timeout=60)

    here = {"CEPH_CONF": str(configuration)}
    map_file = str(directory / "monmap")
    prepare("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v1:127.0.0.1:{monitor}]", map_file)
    prepare("ceph-mon", "--mkfs", "-i", "a", "--monmap", map_file, "--mon-data", str(directory / "mon"))
    with ExitStack() as running:

        def start(*command: str) -> subprocess.Popen[bytes]:
            return running.enter_context(run_process(command, log, **here))

        start("ceph-mon", "-i", "a", "-f")
        prepare("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", str(uuid.uuid4()))
        storage = start("ceph-osd", "-i", "0", "-f")
        start("radosgw", "-n", "client.rgw", "-f")
        server = S3Server(f"http://127.0.0.1:{port}")

        def is_ready() -> bool:
            nonlocal storage
            if storage.poll() is not None:  # it gives up when the monitor has not agreed with itself yet
                storage = start("ceph-osd", "-i", "0", "-f")
            return answers(server.endpoint)

        wait_for(is_ready, 60, "radosgw", log)
        account = ["--uid=test", "--display-name=test", f"--access-key={server.key}", f"--secret={server.secret}"]
        prepare("radosgw-admin", "user", "create", *account)
        yield server


@dataclass(frozen=True)
class WebServer:
    """nginx, with a log of what it was asked."""

    url: str
    log: Path

    def requests(self) -> list[str]:
        """Method, URL, status and range of each request so far, in the order of their ends."""
        settled, text = -1, ""
        while len(text) != settled:  # the log is written after the answer
            settled = len(text)
            time.sleep(0.1)
            text = self.log.read_text()
        return [line for line in text.splitlines() if " /ready " not in line]


_NGINX = """
daemon off; master_process off; pid {directory}/pid; error_log {directory}/error.log;
events {{ worker_connections 512; }}
http {{
  log_format asked '$request_method $request_uri $status $http_range';
  access_log {directory}/access.log asked;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  keepalive_requests 100000;
  server {{
    listen 127.0.0.1:{port};
    {locations}
  }}
}}
"""


@contextmanager
def run_nginx(directory: Path, locations: str) -> Iterator[WebServer]:
    """Run nginx with the given location blocks."""
    require_programs("nginx")
    port = find_free_port()
    directory.mkdir(parents=True, exist_ok=True)
    configuration = directory / "nginx.conf"
    configuration.write_text(_NGINX.format(directory=directory, port=port, locations=locations))
    log = directory / "nginx.out"
    with run_process(["nginx", "-p", str(directory), "-e", str(log), "-c", str(configuration)], log):
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(f"{url}/ready"), 10, "nginx", log)
        yield WebServer(url, directory / "access.log")


@contextmanager
def run_python_server(directory: Path, log: Path) -> Iterator[str]:
    """Run `python -m http.server`, which ignores ranges."""
    port = find_free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(directory)]
    with run_process(command, log):
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(url), 10, "http.server", log)
        yield url


@dataclass
class FaultyServer:
    """A small S3 without signatures, which fails as told before it behaves."""

    url: str
    objects: dict[str, bytes]
    """Path → content; paths begin with a slash."""

    faults: list[str] = field(default_factory=list)
    """What to do to the next requests, one each: a status (`503`), `reset`, `cut`, `hang` or `close`."""

    requests: list[str] = field(default_factory=list)
    """Paths asked for."""

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
        thread.join()


class _FaultyHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: FaultyServer

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        with self.state.lock:
            self.state.requests.append(path)
            fault = self.state.faults.pop(0) if self.state.faults else ""
        if fault in ("reset", "close", "hang"):
            self._break_off(fault)
        elif fault.isdigit():
            self._send(int(fault), b"<Error><Code>SlowDown</Code></Error>" if fault == "503" else b"")
        elif "list-type" in parts.query:
            self._list(path, parse_qs(parts.query).get("prefix", [""])[0])
        elif path not in self.state.objects:
            self._send(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self._send_object(self.state.objects[path], cut=fault == "cut")

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

    def _send_object(self, content: bytes, *, cut: bool) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        start, stop = (int(asked[1]), min(int(asked[2]) + 1, len(content))) if asked else (0, len(content))
        if start >= len(content):
            self._send(416, b"", Content_Range=f"bytes */{len(content)}")
            return
        body = content[start:stop]
        if cut:  # promise all and send half
            self.send_response(206)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
            self.send_header("Last-Modified", "Sat, 01 Jan 2022 00:00:00 GMT")
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        date = "Sat, 01 Jan 2022 00:00:00 GMT"
        self._send(206, body, Content_Range=f"bytes {start}-{stop - 1}/{len(content)}", Last_Modified=date)

    def _list(self, bucket: str, prefix: str) -> None:
        entries = "".join(
            f"<Contents><Key>{path[len(bucket) + 1 :]}</Key><Size>{len(content)}</Size>"
            "<LastModified>2022-01-01T00:00:00.000Z</LastModified></Contents>"
            for path, content in self.state.objects.items()
            if path.startswith(f"{bucket}/{prefix}")
        )
        self._send(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode())
