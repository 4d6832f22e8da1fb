"""What makes a decoder end its process, or never return; `dask worker --preload` imports this file.

Decoders are native code: nothing in Python catches what crashes them. Here each of them aborts where the bytes that it
is given hold a mark, as a fault in its own code would, or waits outside of Python for ever.
"""

from __future__ import annotations

import ctypes
import os
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
from distributed import Worker

from dsp_batch.batch.cluster import watchdog
from dsp_batch.dicom.pixels import native

CRASH, HANG = b"ends its process", b"never comes back"
"""Marks at the end of a frame."""

DECODERS = ("jpeg8_decode", "jpegls_decode", "jpeg2k_decode", "jpegxl_decode", "dicomrle_decode")


def _spoil(decode: Callable[..., Any]) -> Callable[..., Any]:
    def run(data: bytes, *arguments: Any, **options: Any) -> Any:
        if CRASH in bytes(data):
            os.abort()
        if HANG in bytes(data):
            ctypes.CDLL(None).sleep(600)
        return decode(data, *arguments, **options)

    return run


class _SpoiltZlib:
    """The module zlib with decompressors that fail."""

    MAX_WBITS, error = zlib.MAX_WBITS, zlib.error

    @staticmethod
    def decompressobj(wbits: int) -> Any:
        inflater = zlib.decompressobj(wbits)

        class Inflater:
            decompress = staticmethod(_spoil(inflater.decompress))

        return Inflater


def dask_setup(_worker: Worker) -> None:
    """Spoil the decoders of this process; Dask calls this in each worker, not in its nanny."""
    for name in DECODERS:
        setattr(imagecodecs, name, _spoil(getattr(imagecodecs, name)))
    native.zlib = _SpoiltZlib  # type: ignore[assignment]  # the part of it that is used
    watchdog.GRACE = 0.5
