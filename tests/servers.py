"""Real servers on loopback: Ceph's S3, nginx and Python's http.server."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

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
            process.wait(30)


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


def accepts(port: int) -> bool:
    """Whether anybody listens on a port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


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
    listen 127.0.0.1:{port}{security};
    {locations}
  }}
}}
"""


@contextmanager
def run_nginx(directory: Path, locations: str, certificates: Path | None = None) -> Iterator[WebServer]:
    """Run nginx with the given location blocks; over HTTPS where a folder with server.pem and server.key is given."""
    require_programs("nginx")
    port = find_free_port()
    directory.mkdir(parents=True, exist_ok=True)
    configuration = directory / "nginx.conf"
    security, scheme = "", "http"
    if certificates is not None:
        pair = f"ssl_certificate {certificates}/server.pem; ssl_certificate_key {certificates}/server.key"
        security, scheme = f" ssl; {pair}", "https"
    settings = {"directory": directory, "port": port, "locations": locations, "security": security}
    configuration.write_text(_NGINX.format(**settings))
    log = directory / "nginx.out"
    with run_process(["nginx", "-p", str(directory), "-e", str(log), "-c", str(configuration)], log):
        url = f"{scheme}://127.0.0.1:{port}"
        wait_for(lambda: accepts(port), 10, "nginx", log)
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
