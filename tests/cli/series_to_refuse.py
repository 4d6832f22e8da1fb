"""Generated series that no program can draw."""

from __future__ import annotations

from pydicom.uid import JPEG2000Lossless

from dsp_batch.phantom.objects import PhantomObject, PhantomSeries
from dsp_batch.phantom.series import build_ct

UNDECODABLE_SYNTAX = "1.2.840.10008.1.2.4.94"
"""JPIP Referenced: the pixels are elsewhere."""

_SIGNATURE = b"\xff\x4f\xff\x51"
"""Markers that a JPEG 2000 codestream begins with, by which it would be known."""


def build_undecodable() -> PhantomSeries:
    """A series in a transfer syntax that nobody decodes, with pixels that are of no codec."""
    whole = build_ct("undecodable", count=1, size=16, transfer_syntax=JPEG2000Lossless)
    objects = (
        PhantomObject(
            name=each.name,
            data=each.data.replace(JPEG2000Lossless.encode(), UNDECODABLE_SYNTAX.encode()).replace(_SIGNATURE, b"here"),
        )
        for each in whole.objects
    )
    return PhantomSeries(series_uuid=whole.series_uuid, title=whole.title, objects=tuple(objects))
