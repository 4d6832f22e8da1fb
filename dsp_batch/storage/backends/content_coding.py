"""Objects that are stored in gzip's coding: their ranges are those of the coded bytes, so they are read whole."""

from __future__ import annotations

import zlib

from dsp_batch.errors import StorageError

MOST_BODY = 1 << 30
"""Bytes of a body that is read whole, coded and decoded, at most; larger objects need ranges of their own."""

_MAGIC = b"\x1f\x8b\x08"
_CODINGS = frozenset(("gzip", "x-gzip"))
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def is_named_gzip(name: str) -> bool:
    """Tell whether the name of an object says that it is in gzip's coding."""
    return name.lower().endswith(".gz")


def is_coding(value: str | None) -> bool:
    """Tell whether a Content-Encoding (RFC 9110 8.4) is gzip's."""
    return value is not None and value.strip().lower() in _CODINGS


def decode_body(data: bytes, coding: str | None, name: str, what: str) -> bytes:
    """Return the object that a whole body holds.

    Args:
        data: The body as it came.
        coding: Its Content-Encoding, None where there is none.
        name: Name of the object; one that ends in `.gz` is decoded too.
        what: Continues "cannot …" in messages, for example `read s3://bucket/key`.

    Raises:
        StorageError: The coding is another one, is damaged, or holds more than `MOST_BODY`.
    """
    if coding is not None and coding.strip().lower() not in {*_CODINGS, "identity", "aws-chunked", ""}:
        raise StorageError(f"cannot {what}: it is stored in the coding {coding[:40]!r}, and only gzip is decoded")
    if data.startswith(_MAGIC) and (is_coding(coding) or is_named_gzip(name)):
        return _decode_gzip(data, what)
    return data


def check_size(size: int, what: str, most: int | None = None) -> None:
    """Refuse a body that is too large to be read whole: larger than `most`, or `MOST_BODY`.

    Raises:
        StorageError: It is, with reason `too-large`.
    """
    most = MOST_BODY if most is None else most
    if size > most:
        message = f"cannot {what}: {size:,} bytes or more would have to be read whole, and at most {most:,} are"
        raise StorageError(message, "too-large")


def _decode_gzip(data: bytes, what: str) -> bytes:
    decoded, rest, is_whole = bytearray(), data, True
    try:
        while is_whole and rest.startswith(_MAGIC):  # a gzip file may have several members
            member = zlib.decompressobj(_GZIP_WINDOW)
            decoded += member.decompress(rest, MOST_BODY + 1 - len(decoded))
            check_size(len(decoded), what)
            is_whole, rest = member.eof, member.unused_data
    except zlib.error:
        is_whole = False
    if not is_whole:
        raise StorageError(f"cannot {what}: its gzip coding is damaged", "not-dicom")
    return bytes(decoded)
