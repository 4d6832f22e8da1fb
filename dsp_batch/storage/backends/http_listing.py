"""Listings of HTTP servers, read: directory pages as HTML or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from dsp_batch.errors import StorageError
from dsp_batch.storage.backend import is_plain_name
from dsp_batch.storage.backends.http_pages import Page

_PLAIN_LINK = re.compile(r"[^:/?#\s]+/?")
"""A link that is nothing but a name: nearly all are, and resolving each as a URL takes 100 µs."""


class Entry(NamedTuple):
    """One line of a directory listing."""

    name: str
    """Name of the object or folder, decoded, without trailing slash."""

    size: int | None
    """Bytes of the object, where the listing gives them exactly."""

    is_folder: bool


def parse_listing(page: Page) -> list[Entry]:
    """Read the listing of a folder, as HTML links (nginx, Apache, Python) or as nginx's JSON.

    Args:
        page: The answer to a GET of the folder's URL.

    Returns:
        The entries directly in that folder, each name once, in the order of the page.

    Raises:
        StorageError: The page is no listing.
    """
    entries = _parse_json(page) if page.data.lstrip()[:1] in (b"[", b"{") else _parse_html(page)
    seen: dict[str, Entry] = {}
    for entry in entries:
        if is_plain_name(entry.name) and entry.name.isprintable():
            seen.setdefault(entry.name, entry)
    return list(seen.values())


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.base: str | None = None
        self.title = ""
        self.is_app = False

    def handle_data(self, data: str) -> None:
        if self.lasttag == "title":
            self.title += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.is_app |= tag in ("form", "script")
        target = dict(attrs).get("href")
        if target is not None and tag == "a":
            self.targets.append(target)
        elif target is not None and tag == "base":
            self.base = target


def _parse_html(page: Page) -> Iterator[Entry]:
    parser = _Links()
    try:
        parser.feed(page.data.decode("utf-8", "replace"))
    except AssertionError as error:  # html.parser's answer to a declaration like `<![`
        raise make_no_listing(page.url) from error
    if not _is_listing(parser, page):
        raise make_no_listing(page.url)
    folder = urlsplit(page.url)
    here = unquote(folder.path)
    base = (parser.base and _join(page.url, parser.base)) or page.url
    for target in parser.targets:
        if parser.base is None and here.endswith("/") and _PLAIN_LINK.fullmatch(target):
            yield Entry(unquote(target).removesuffix("/"), None, target.endswith("/"))
            continue
        joined = _join(base, target.strip())
        if joined is None:
            continue
        link = urlsplit(joined)
        # Column headings link to the folder itself with a query; parents and other servers lead away.
        path = unquote(link.path)
        if link.netloc != folder.netloc or link.query or not path.startswith(here) or path == here:
            continue
        name = path[len(here) :]
        yield Entry(name.removesuffix("/"), None, name.endswith("/"))


def _join(base: str, target: str) -> str | None:
    """Resolve a link; None where it is no URL, such as `http://[::1`."""
    try:
        joined = urljoin(base, target)
        urlsplit(joined)
    except ValueError:
        return None
    return joined


def _is_listing(parser: _Links, page: Page) -> bool:
    """Tell whether a page lists a folder: by its title, or by links to something in the folder or to the one above it.

    A login page links elsewhere, and the page of an app, which is a script, at most to the top of the server.
    """
    if parser.title.strip().lower().startswith(("index of", "directory listing")):
        return True
    here = unquote(urlsplit(page.url).path)
    base = (parser.base and _join(page.url, parser.base)) or page.url
    joined = [_join(base, target.strip()) for target in parser.targets]
    paths = [unquote(urlsplit(each).path) for each in joined if each is not None]
    if any(path.startswith(here) and path != here for path in paths):
        return True
    above = f"{here.rstrip('/').rpartition('/')[0]}/"
    return not parser.is_app and any(path in (here, above) for path in paths)


def make_no_listing(url: str) -> StorageError:
    """Make the error of an answer that lists nothing."""
    return StorageError(f"cannot list {url}: the server's answer is no directory listing", reason="not-found")


def _parse_json(page: Page) -> Iterable[Entry]:
    try:
        entries = [
            Entry(each["name"], _exact_size(each.get("size")), each["type"] == "directory")
            for each in json.loads(page.data)
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise make_no_listing(page.url) from error
    if not all(isinstance(each.name, str) for each in entries):
        raise make_no_listing(page.url)
    return entries


def _exact_size(value: Any) -> int | None:
    """Take a number of bytes; None for what is none, such as `1.2K`."""
    return value if type(value) is int and value >= 0 else None


def is_bucket_answer(data: bytes) -> bool:
    """Tell whether an answer, good or bad, was written by S3 or its like."""
    start = data[:1000]
    return b"<ListBucketResult" in start or (b"<Error>" in start and b"<Code>" in start)


def split_bucket_urls(scheme: str, host: str, path: str) -> list[tuple[str, str]]:
    """List the ways to read `scheme://host/path` as bucket and key prefix: bucket in the path, bucket in the host."""
    bucket, _, rest = path.partition("/")
    ways = [(f"{scheme}://{host}/{bucket}", rest)] if bucket else []
    return [*ways, (f"{scheme}://{host}/", path)]
