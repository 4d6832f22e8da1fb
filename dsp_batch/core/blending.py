"""Blend images as an advanced blending presentation state orders it (PS3.4 N.2.6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from dsp_batch.model.series import FloatArray


class BlendedImage(NamedTuple):
    """An image that takes part in a blending, or comes out of one."""

    colors: FloatArray
    """Red, green and blue from 0 to 255, shape (height, width, 3)."""

    shown: FloatArray
    """Share of each pixel that is shown, shape (height, width): 0 for padding and outside of thresholds, else 1."""


def blend_equally(images: Iterable[BlendedImage]) -> BlendedImage | None:
    """Blend images so that, in each pixel, all that are shown there count alike.

    Args:
        images: Images of one shape, of which no more than one has to be in memory.

    Returns:
        Their blend; None where there is no image.
    """
    total: BlendedImage | None = None
    for image in images:
        colors, shown = image.colors * image.shown[..., np.newaxis], image.shown
        total = BlendedImage(*((colors, shown) if total is None else (total.colors + colors, total.shown + shown)))
    if total is None:
        return None
    mixed: FloatArray = total.colors / np.where(total.shown > 0, total.shown, 1)[..., np.newaxis]
    return BlendedImage(mixed, total.shown.clip(0, 1))


def blend_over(first: BlendedImage, second: BlendedImage, opacity: float) -> BlendedImage:
    """Blend an image over another. Where one of them is not shown, the other one is, whatever the opacity.

    Args:
        first: The image in the foreground.
        second: An image of the same shape.
        opacity: Share of the first image, from 0 to 1.
    """
    both = first.shown * second.shown * opacity + first.shown * (1 - second.shown)
    share = both[..., np.newaxis]
    mixed: FloatArray = first.colors * share + second.colors * (1 - share)
    return BlendedImage(mixed, np.maximum(first.shown, second.shown))
