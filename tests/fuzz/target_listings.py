"""Listings: S3's XML, directory pages of HTML and JSON, from a server that says anything → objects and folders."""

from __future__ import annotations

import json
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from case import Case, Target
from chance import TEXTS, Chance
from data_folder import DATA

from dsp_batch.storage import retry
from dsp_batch.storage.store import Store

_NAMES = (
    "a.dcm",
    "b.dcm",
    "IM0001",
    "sub/",
    "s/a.dcm",
    "s/",
    "38902e14-b11f-4548-910e-771ee757dc82/",
    "%41.dcm",
    "a%2Fb",
)

_ROOTS = count()
"""A root for each attempt: the backend of a root remembers whether its server lists as a bucket does."""


def make(chance: Chance) -> Case:
    """Make a page of one of the forms, with odd names, and change its bytes now and then."""
    pages = (_make_html, _make_json, _make_xml, _take_real)
    data = chance.choice(pages)(chance)
    settings = {
        "folder": chance.choice(("s", "ä b")),
        "of_root": chance.one_in(3),
        "of_s3": chance.one_in(3),
        "prefix": chance.choice(("", "38")),
    }
    return Case(data=chance.spoil(data) if chance.one_in(2) else data, settings=settings)


def _make_names(chance: Chance) -> list[str]:
    names = [
        chance.choice((chance.choice(_NAMES), chance.choice(TEXTS), chance.text())) for _ in range(chance.randint(0, 8))
    ]
    return [name.replace("\ud800", "?") for name in names] + (["n" * 70_000] if chance.one_in(60) else [])


def _make_html(chance: Chance) -> bytes:
    title = chance.choice(("Index of /s/", "Directory listing for /", "Log in", ""))
    base = f'<base href="{chance.text()}">' if chance.one_in(8) else ""
    links = "".join(
        f'<a href="{chance.choice(("", "", "/", "./", "../", "//h/"))}{name}">x</a>' for name in _make_names(chance)
    )
    return f"<html><title>{title}</title>{base}<body>{links}</body>".encode(errors="replace")


def _make_json(chance: Chance) -> bytes:
    odd: list[Any] = [None, 1, "x", [], {}, True, 1e400, -1, 1 << 70]
    items: list[Any] = [
        {"name": name, "type": chance.choice(("file", "directory", "other", 1)), "size": chance.choice((1, None, *odd))}
        for name in _make_names(chance)
    ]
    items += chance.some(odd, 2) if chance.one_in(4) else []
    items += [{"name": chance.choice(odd), "type": "file"}] if chance.one_in(4) else []
    return json.dumps(items if not chance.one_in(8) else {"items": items}).encode()


def _make_xml(chance: Chance) -> bytes:
    sizes = ("1", "1", "") if not chance.one_in(4) else ("1", "abc", "-5", str(chance.number()))
    objects = "".join(
        f"<Contents><Key>{_escape(name)}</Key><Size>{chance.choice(sizes)}</Size></Contents>"
        for name in _make_names(chance)
    )
    prefixes = "".join(
        f"<CommonPrefixes><Prefix>{_escape(name)}</Prefix></CommonPrefixes>" for name in _make_names(chance)
    )
    token = f"<NextContinuationToken>{chance.choice(('again', ''))}</NextContinuationToken>" if chance.one_in(6) else ""
    head = chance.choice(
        ('<?xml version="1.0"?>', '<?xml version="1.0" encoding="x-none"?>', '<!DOCTYPE a [<!ENTITY b "c">]>', "")
    )
    return f"{head}<ListBucketResult>{objects}{prefixes}{token}</ListBucketResult>".encode(errors="replace")


def _escape(name: str) -> str:
    return escape("".join(each for each in name if each.isprintable() or each == "\n"))


def _take_real(chance: Chance) -> bytes:
    return chance.choice(_load_real()) if _load_real() else _make_html(chance)


@cache
def _load_real() -> list[bytes]:
    found = (
        sorted((DATA / "hostile").glob("*.xml")) + sorted((DATA / "hostile").glob("*.html")) if DATA.is_dir() else []
    )
    return [path.read_bytes() for path in found]


class _Handler(BaseHTTPRequestHandler):
    answer = b""
    left = 0

    def do_GET(self) -> None:
        cls = type(self)
        cls.left -= 1
        body = cls.answer if cls.left >= 0 else b"<html><title>Index of /</title></html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the output clean."""


@cache
def _serve() -> str:
    """Start a server in this process; all its pages are the input."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    retry.FIRST_DELAY = 0.001
    return f"http://127.0.0.1:{server.server_address[1]}"


def attempt(case: Case, _: Path) -> None:
    """List a folder, or the folders of the root; every name that comes back stays in the folder."""
    _Handler.answer, _Handler.left = case.data, 40
    root = f"{_serve()}/{next(_ROOTS)}"
    is_bucket = case.settings["of_s3"]
    store = Store("s3://bucket", endpoint_url=root, anonymous=True) if is_bucket else Store(root)
    if case.settings["of_root"]:
        names = store.list_series(case.settings["prefix"])
    else:
        names = [each.name for each in store.list_objects(case.settings["folder"])]
    for name in names:
        if "/" in name or name in ("", ".", ".."):
            raise AssertionError(f"a listing gave the name {name!r}")


TARGET = Target("listings", make, attempt)
