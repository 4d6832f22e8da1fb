"""S3's XML listing, read as a web page: buckets that are given as plain HTTP roots."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree as ET

from dsp_batch.errors import StorageError


class BucketPage(NamedTuple):
    """One page of a listing."""

    objects: list[tuple[str, int]]
    """Keys and sizes."""

    prefixes: list[str]
    """Common prefixes, ending in `/`."""

    token: str | None
    """Where the next page begins; None on the last."""


def is_bucket_answer(data: bytes) -> bool:
    """Whether an answer, good or bad, was written by S3 or its like."""
    start = data[:1000]
    return b"<ListBucketResult" in start or (b"<Error>" in start and b"<Code>" in start)


def listing_url(bucket_url: str, prefix: str, token: str | None) -> str:
    """The URL that lists one level of a bucket (ListObjectsV2)."""
    query = f"?list-type=2&delimiter=%2F&prefix={quote(prefix, safe='')}"
    return bucket_url + query + (f"&continuation-token={quote(token, safe='')}" if token else "")


def split_bucket_urls(scheme: str, host: str, path: str) -> list[tuple[str, str]]:
    """The ways to read `scheme://host/path` as a bucket and a key prefix: bucket in the path, bucket in the host."""
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
