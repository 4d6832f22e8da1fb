"""The page itself: its HTML, style and scripts, as they stand in the folder `static`."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files as package_files
from typing import Any

from dsp_batch.web.files import Files
from dsp_batch.web.pictures import picture_origin

_PAGE = "index.html"


def write_page(facts: Mapping[str, Any], files: Files) -> None:
    """Write style and scripts, and the page last: whoever finds it finds all that it needs."""
    folder = package_files("dsp_batch.web").joinpath("static")
    for source in sorted(folder.iterdir(), key=lambda each: each.name):
        if source.name != _PAGE:
            files.write(source.name, source.read_bytes())
    page = folder.joinpath(_PAGE).read_text(encoding="utf-8")
    page = page.replace("{TITLE}", escape(str(facts["title"])))
    page = page.replace("{STAMP}", files.stamp)
    page = page.replace("{PICTURE_ORIGIN}", escape(picture_origin(str(facts["pictures"]))))
    files.write(_PAGE, page.encode())
