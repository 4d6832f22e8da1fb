"""Data files of the page: classic scripts, because a page that was opened from a folder may load nothing else."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

_LEVEL = 5
"""Compression level of zlib. Level 6 takes half as long again and saves 2 %."""

_ALIGNMENT = 8
"""Typed arrays of JavaScript must begin at multiples of the size of a number."""


class Packed(NamedTuple):
    """A part of a data file."""

    header: dict[str, Any]
    data: bytes = b""


def build_script(name: str, stamp: str, parts: Sequence[Packed]) -> bytes:
    """Make a data file.

    It calls `galleryData(name, stamp, text)`. The text is base64 of gzip of this: the length of a JSON text (32 bits,
    little endian), the JSON text, and the bytes of the parts, each at a multiple of 8 bytes. The JSON text is the list
    of the parts' headers, with `start` and `length` of their bytes.

    Args:
        name: Name of the file without its suffix.
        stamp: Tells which writing of the gallery it belongs to.
        parts: What is in it.
    """
    start, headers = 0, []
    for part in parts:
        headers.append({**part.header, "start": start, "length": len(part.data)})
        start += len(_pad(part.data))
    script = GrowingScript(name, stamp, headers)
    for part in parts:
        script.add(_pad(part.data))
    return script.finish()


class GrowingScript:
    """A data file that is compressed while its bytes come, so that only the compressed ones are in memory."""

    def __init__(self, name: str, stamp: str, headers: Sequence[dict[str, Any]]) -> None:
        self._head = b'galleryData("%s","%s","' % (name.encode(), stamp.encode())
        self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
        self._compressed: list[bytes] = []
        text = json.dumps(headers, separators=(",", ":"), ensure_ascii=False).encode()
        self.add(_pad(len(text).to_bytes(4, "little") + text))

    def add(self, data: bytes) -> None:
        """Add bytes of the parts."""
        self._compressed.append(self._packer.compress(data))

    def finish(self) -> bytes:
        """The whole file."""
        compressed = b"".join([*self._compressed, self._packer.flush()])
        return self._head + base64.b64encode(compressed) + b'")\n'


def _pad(data: bytes) -> bytes:
    return data + b" " * (-len(data) % _ALIGNMENT)
