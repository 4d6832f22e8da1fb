"""Where a page finds the previews: an address relative to the page, or the web address of the cache."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote, urlsplit

from dsp_batch.cache import Cache
from dsp_batch.errors import OptionsError
from dsp_batch.model.series import IntArray
from dsp_batch.storage.urls import parse_location
from dsp_batch.web.files import Files
from dsp_batch.web.rows import list_pictures
from dsp_batch.web.table import GalleryTable

_ROWS_AT_ONCE = 4_096
_WEB_HOSTS = {"s3": "https://{bucket}.s3.amazonaws.com", "gs": "https://storage.googleapis.com/{bucket}"}


def locate_cache(cache: Cache, output: str) -> str:
    """Tell the address of the cache directory as a page sees it.

    Args:
        cache: The cache directory.
        output: Folder or URL of the page.

    Returns:
        A relative or an absolute URL that ends in `/`.

    Raises:
        OptionsError: A page at that place could not show pictures of this cache.
    """
    folder, page = parse_location(cache.url), parse_location(output)
    if page.top == folder.top and page.parts[: len(folder.parts)] == folder.parts and page != folder:
        return "../" * (len(page.parts) - len(folder.parts))
    if folder.path is not None:
        if page.path is None:
            raise OptionsError(f"a page at {page} cannot show pictures in {folder}: add --copy")
        return _locate_folder(folder.path, page.path)
    if folder.scheme in _WEB_HOSTS:
        server = cache.endpoint_url and f"{cache.endpoint_url.rstrip('/')}/{folder.container}"
        address = server or _WEB_HOSTS[folder.scheme].format(bucket=folder.container)
        return f"{address}/{quote(folder.key)}".rstrip("/") + "/"
    if folder.is_http:
        return f"{folder}/"
    raise OptionsError(f"browsers cannot read {folder.scheme}:// URLs: write the page into the cache, or add --copy")


def picture_origin(address: str) -> str:
    """Name the server that pictures come from, for the page's content security policy; empty where it is the page's."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _locate_folder(folder: Path, page: Path) -> str:
    relative = os.path.relpath(folder.resolve(), page.resolve())
    return quote(Path(relative).as_posix()) + "/"


def copy_pictures(cache: Cache, table: GalleryTable, order: IntArray, files: Files) -> None:
    """Copy the previews of all rows beside the page; those that are there already are left alone."""
    there = files.list("previews")
    for start in range(0, len(order), _ROWS_AT_ONCE):
        for key in list_pictures(table.read(order[start : start + _ROWS_AT_ONCE])):
            data = cache.read(key) if key and key not in there else None
            if key and data is not None:
                files.write(key, data)
