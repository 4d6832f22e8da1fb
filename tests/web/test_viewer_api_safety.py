"""What the viewer refuses, and that it lives through damaged files and hostile requests."""

from __future__ import annotations

import json
import os
import random
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from data_folder import DATA, needs_data
from viewer_client import Client, run_viewer, write_series

from dsp_batch.web.viewer.server.routes import ROUTES

STATUSES = {200, 400, 401, 403, 404, 405, 413, 415, 422, 500, 503}


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("series")
    write_series(folder, 3)
    with run_viewer(folder) as client:
        assert len(client.wait_for_scan()) == 3
        yield client


def test_each_route_asks_for_the_token(viewer: Client) -> None:
    for route in ROUTES:
        path = route.path.format(id="x", i=0, f=0, column=0, row=0)
        for wrong in ("", "Bearer", "Bearer x", f"Basic {viewer.token}", f"Bearer {viewer.token}x", "Bearer \xff"):
            got = viewer.ask(f"/api/{path}", Authorization=wrong)
            assert (got.status, got.json["code"]) == (401, "unauthorized"), route.path
            assert got.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_page_needs_no_token_and_runs_no_script_of_others(viewer: Client) -> None:
    got = viewer.ask("/", Authorization="")
    assert got.status == 200
    policy = got.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    page = got.body.decode()
    assert "<script>" not in page
    assert " style=" not in page
    assert viewer.token not in page


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:9999", "127.9.9.9", "[::1]:80"])
def test_any_name_of_the_loopback_device_is_taken_whatever_its_port(viewer: Client, host: str) -> None:
    assert viewer.get("health", Host=host).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "[", "::"]
)
def test_other_hosts_are_refused(viewer: Client, host: str) -> None:
    for path in ("/", "/api/health"):
        got = viewer.ask(path, Host=host)
        assert (got.status, got.json["code"]) == (403, "host_not_allowed")


def test_pages_of_other_origins_are_refused(viewer: Client) -> None:
    own = f"127.0.0.1:{viewer.port}"
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1", f"http://evil.example:{viewer.port}"):
        got = viewer.get("health", Origin=origin)
        assert (got.status, got.json["code"]) == (403, "origin_not_allowed")
    assert viewer.get("health", Origin=f"http://{own}").status == 200
    assert viewer.get("health", Origin=f"http://localhost:{viewer.port}").status == 200
    assert viewer.get("health", Origin="http://localhost:7", Host="localhost:7").status == 200


@pytest.mark.parametrize(
    ("route", "status", "code"),
    [
        ("nothing", 404, "route_not_found"),
        ("file/0", 404, "route_not_found"),
        ("file/x/info", 400, "invalid_query"),
        ("file/-1/info", 400, "invalid_query"),
        ("file/%D9%A3/info", 400, "invalid_query"),
        ("file/99/info", 404, "not_found"),
        ("file/0/frame/7", 404, "frame_out_of_range"),
        ("file/0/frame/0?wc=1", 400, "invalid_window"),
        ("file/0/frame/0?wc=1&ww=0", 400, "invalid_window"),
        ("file/0/frame/0?wc=nan&ww=1", 400, "invalid_query"),
        ("file/0/frame/0?format=gif", 400, "invalid_query"),
        ("file/0/frame/0?mode=x", 400, "invalid_query"),
        ("file/0/frame/0?width=999999", 400, "invalid_query"),
        ("file/0/tags?path=zz", 400, "bad_request"),
        ("file/0/tags?path=00081140.0", 404, "not_found"),
        ("file/0/tags?limit=x", 400, "invalid_query"),
        ("file/0/tile/0/0", 404, "frame_out_of_range"),
        ("series/00000000-0000-0000-0000-000000000000", 404, "not_found"),
        ("series/..%2F..%2Fetc", 404, "not_found"),
        ("files?since=-1", 400, "invalid_query"),
        ("file/0/frame/0?wdth=9", 400, "invalid_query"),
        ("health?since=0", 400, "invalid_query"),
        ("nothing?since=0", 404, "route_not_found"),
    ],
)
def test_what_is_wrong_is_told_as_json(viewer: Client, route: str, status: int, code: str) -> None:
    got = viewer.get(route)
    assert (got.status, got.json["code"]) == (status, code)
    assert set(got.json) == {"code", "error"}
    assert got.headers["Content-Type"] == "application/json"


def test_methods_and_bodies_that_are_not_wanted_are_refused(viewer: Client) -> None:
    route = "/api/file/0/annotations"
    assert viewer.ask("/api/health", "POST", b"{}").json["code"] == "method_not_allowed"
    assert viewer.ask("/api/health", "DELETE").status == 405
    assert viewer.ask(route, "PUT", b"{}", Content_Type="text/plain").status == 415
    assert viewer.ask(route, "PUT", b"{", Content_Type="application/json").json["code"] == "invalid_json"
    assert viewer.ask(route, "PUT", b"[" * 100_000, Content_Type="application/json").json["code"] == "invalid_json"
    assert viewer.ask(route, "PUT", b"[]", Content_Type="application/json").json["code"] == "invalid_json"
    large = viewer.ask(route, "PUT", b" " * (1 << 20) + b"{}", Content_Type="application/json")
    assert (large.status, large.json["code"]) == (413, "body_too_large")


def test_no_path_of_a_client_reaches_the_file_system(viewer: Client) -> None:
    for path in (
        "/../pyproject.toml",
        "/shared/../app.js",
        "/..%2fapp.py",
        "/shared/%2e%2e/x",
        "//etc/passwd",
        "/static/",
    ):
        got = viewer.ask(path)
        assert got.status == 404
        assert "code" in got.json


def test_without_a_token_host_and_origin_still_count(tmp_path: Path) -> None:
    write_series(tmp_path, 1)
    with run_viewer(tmp_path, token=False) as client:
        assert client.token == ""
        assert client.get("health").status == 200
        assert client.get("health", Host="evil.example").status == 403


def test_the_server_listens_at_a_socket_that_others_cannot_open(tmp_path: Path) -> None:
    write_series(tmp_path / "s", 1)
    path = tmp_path / "viewer.sock"
    with run_viewer(tmp_path / "s", unix_socket=str(path)):
        assert path.stat().st_mode & 0o077 == 0
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(path))
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")
    assert not path.exists()


@needs_data
def test_damaged_and_hostile_files_cost_themselves_only() -> None:
    with run_viewer(DATA / "broken", DATA / "hostile") as client:
        files = client.wait_for_scan()
        assert len(files) > 15
        for file in files:
            for what in ("frame/0?format=jpeg", "frame/0/raw", "frame/0/thumbnail", "info", "tags"):
                got = client.get(f"file/{file['index']}/{what}")
                assert got.status in STATUSES - {500}, (file["path"], what, got.body[:200])
                if got.status != 200:
                    assert set(got.json) == {"code", "error"}
        for entry in client.get("series").json:
            for what in ("", "/preview"):
                got = client.get(f"series/{entry['id']}{what}")
                assert got.status in STATUSES - {500}, (entry, got.body[:200])
        assert client.get("health").json["status"] == "ok"


def test_what_is_no_http_ends_nothing(viewer: Client, caplog: pytest.LogCaptureFixture) -> None:
    for garbage in (
        b"\x00" * 100,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\r\n" * 50,
        b"PUT /api/file/0/annotations HTTP/1.1\r\n",
    ):
        with socket.create_connection((viewer.host, viewer.port), timeout=10) as connection:
            connection.sendall(garbage)
    with socket.create_connection((viewer.host, viewer.port), timeout=10) as connection:
        head = f"PUT /api/file/0/annotations HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {viewer.token}\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n".encode() + b"{")
    assert viewer.get("health").status == 200


def resident_mb() -> float:
    """Memory of this process, which the viewer runs in."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError


def random_route(rng: random.Random, files: list[dict[str, Any]], ids: list[str]) -> str:
    """A request that a page, a script or a bad guest might send."""
    file = rng.choice(files)
    frame = rng.randrange(-1, file["frame_count"] + 2)
    at = f"file/{file['index']}"
    return rng.choice(
        [
            f"{at}/frame/{frame}",
            f"{at}/frame/{frame}?format=jpeg&width={rng.randrange(2000)}",
            f"{at}/frame/{frame}?wc={rng.gauss(0, 500):.1f}&ww={rng.uniform(-5, 3000):.1f}&format=webp",
            f"{at}/frame/{frame}/raw",
            f"{at}/frame/{frame}/thumbnail?size={rng.randrange(2000)}",
            f"{at}/frame/{frame}/overlay",
            f"{at}/tags?offset={rng.randrange(50)}&path={rng.choice(['', '00081140.0', '5', '00091001.3'])}",
            f"{at}/info",
            f"{at}/annotations",
            f"series/{rng.choice(ids)}",
            f"files?since={rng.randrange(1000)}&limit={rng.randrange(100)}",
            "".join(rng.choices("abcdef/%.?&=0123456789", k=20)),
        ]
    )


@needs_data
def test_random_requests_and_closing_connections_stay_within_the_budget() -> None:
    seconds = float(os.environ.get("DSP_VIEWER_SECONDS") or 4)
    budget = 32
    before = resident_mb()
    with run_viewer(DATA / "series", DATA / "codecs", DATA / "broken", cache_budget=budget) as client:
        files = client.wait_for_scan()
        ids = [entry["id"] for entry in client.get("series").json]
        end = time.monotonic() + seconds

        def bother(seed: int) -> int:
            rng, asked = random.Random(seed), 0
            while time.monotonic() < end:
                route = random_route(rng, files, ids)
                asked += 1
                if rng.random() < 0.2:
                    with socket.create_connection((client.host, client.port), timeout=10) as connection:
                        head = f"GET /api/{route} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {client.token}"
                        connection.sendall(f"{head}\r\n\r\n".encode())
                    continue
                got = client.get(route)
                assert got.status in STATUSES - {500}, (route, got.body[:200])
                if got.status != 200:
                    assert set(json.loads(got.body)) == {"code", "error"}, route
            return asked

        with ThreadPoolExecutor(4) as pool:
            asked = sum(pool.map(bother, range(4), timeout=seconds + 60))
        assert asked > 20 * seconds
        assert client.get("health").status == 200
        assert resident_mb() - before < budget + 300
