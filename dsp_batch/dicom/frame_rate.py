"""Read how fast the frames of an object are meant to be shown."""

from __future__ import annotations

from statistics import mean

from dsp_batch.dicom.headers.attributes import Attributes

_FASTEST = 1000.0
"""Frames per second that are still believed: files of moving pictures count milliseconds."""

_SLOWEST = 0.01


def describe_frame_rate(attributes: Attributes) -> float | None:
    """Read the frame rate of an object.

    Args:
        attributes: The header of the object.

    Returns:
        Frames per second; None where the object names none that is usable. Time between frames comes first, because it
        is how they were acquired, or meant to be shown; then the rates that are recommended; then the mean of times
        that differ from frame to frame.

    References:
        DICOM PS3.3 C.7.6.5 (Cine): Frame Time (0018,1063) and Frame Time Vector (0018,1065) in ms, whose first value
        belongs to no interval, Cine Rate (0018,0040), Recommended Display Frame Rate (0008,2144).
    """
    steps = attributes.numbers("FrameTimeVector")[1:]
    for rate in (
        _invert(attributes.number("FrameTime")),
        attributes.number("CineRate"),
        attributes.number("RecommendedDisplayFrameRate"),
        _invert(mean(steps) if steps else None),
    ):
        if rate is not None and _SLOWEST <= rate <= _FASTEST:
            return rate
    return None


def _invert(milliseconds: float | None) -> float | None:
    return 1000 / milliseconds if milliseconds else None
