"""Listings of HTTP servers, read: directory pages as HTML or JSON, and S3's XML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit
from xml.etree import ElementTree as ET

from dsp_batch.errors import StorageError
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
        if _is_plain(entry.name):
            seen.setdefault(entry.name, entry)
    return list(seen.values())


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.base: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get("href")
        if target is not None and tag == "a":
            self.targets.append(target)
        elif target is not None and tag == "base":
            self.base = target


def _parse_html(page: Page) -> Iterator[Entry]:
    parser = _Links()
    parser.feed(page.data.decode("utf-8", "replace"))
    folder = urlsplit(page.url)
    here = unquote(folder.path)
    base = urljoin(page.url, parser.base) if parser.base else page.url
    for target in parser.targets:
        if parser.base is None and here.endswith("/") and _PLAIN_LINK.fullmatch(target):
            yield Entry(unquote(target).removesuffix("/"), None, target.endswith("/"))
            continue
        link = urlsplit(urljoin(base, target.strip()))
        # Column headings link to the folder itself with a query; parents and other servers lead away.
        path = unquote(link.path)
        if link.netloc != folder.netloc or link.query or not path.startswith(here) or path == here:
            continue
        name = path[len(here) :]
        yield Entry(name.removesuffix("/"), None, name.endswith("/"))


def _parse_json(page: Page) -> Iterable[Entry]:
    try:
        entries = json.loads(page.data)
        return [Entry(each["name"], each.get("size"), each["type"] == "directory") for each in entries]
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(f"cannot list {page.url}: the server's answer is no listing", reason="not-found") from error


def _is_plain(name: str) -> bool:
    return bool(name) and name not in (".", "..") and "/" not in name and name.isprintable()


class BucketPage(NamedTuple):
    """One page of a listing."""

    objects: list[tuple[str, int]]
    """Key and size in bytes of each object."""

    prefixes: list[str]
    """Common prefixes, ending in `/`."""

    token: str | None
    """Continuation token of the next page; None on the last."""


def is_bucket_answer(data: bytes) -> bool:
    """Tell whether an answer, good or bad, was written by S3 or its like."""
    start = data[:1000]
    return b"<ListBucketResult" in start or (b"<Error>" in start and b"<Code>" in start)


def listing_url(bucket_url: str, prefix: str, token: str | None) -> str:
    """Build the URL that lists one level of a bucket (ListObjectsV2)."""
    query = f"?list-type=2&delimiter=%2F&prefix={quote(prefix, safe='')}"
    return bucket_url + query + (f"&continuation-token={quote(token, safe='')}" if token else "")


def split_bucket_urls(scheme: str, host: str, path: str) -> list[tuple[str, str]]:
    """List the ways to read `scheme://host/path` as bucket and key prefix: bucket in the path, bucket in the host."""
    bucket, _, rest = path.partition("/")
    ways = [(f"{scheme}://{host}/{bucket}", rest)] if bucket else []
    return [*ways, (f"{scheme}://{host}/", path)]


def parse_bucket_page(data: bytes, url: str) -> BucketPage:
    """Read one page of a ListBucketResult.

    Raises:
        StorageError: It is none.
    """
    try:
        tree = ET.fromstring(data)  # noqa: S314  # expat limits the expansion of entities itself
    except ET.ParseError as error:
        raise StorageError(f"cannot list {url}: the server's answer is no listing", reason="not-found") from error
    if not tree.tag.endswith("ListBucketResult"):
        raise StorageError(f"cannot list {url}: the server's answer is no listing", reason="not-found")
    objects = [(_text(each, "Key"), int(_text(each, "Size") or 0)) for each in tree.findall("{*}Contents")]
    prefixes = [_text(each, "Prefix") for each in tree.findall("{*}CommonPrefixes")]
    return BucketPage(objects, prefixes, _text(tree, "NextContinuationToken") or None)


def _text(element: ET.Element, name: str) -> str:
    return element.findtext(f"{{*}}{name}") or ""
