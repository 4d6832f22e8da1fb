"""Convert colors to sRGB by the ICC profiles of slides and photographs (PS3.3 C.11.15)."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.model.series import ByteArray

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform


def find_profile(attributes: Attributes) -> bytes | None:
    """Find the ICC Profile (0028,2000) of the image, else of its first optical path; None where there is none.

    A profile is a large binary value, so a header that was read without these has none.
    """
    return attributes.binary("ICCProfile") or attributes.item("OpticalPathSequence").binary("ICCProfile")


def convert_to_srgb(rgb: ByteArray, profile: bytes) -> ByteArray:
    """Convert colors of a device to sRGB, perceptually.

    Args:
        rgb: (rows, columns, 3). Not modified.
        profile: An ICC input or display profile for RGB.

    Returns:
        sRGB, (rows, columns, 3); `rgb` itself where the profile is damaged or of other colors.
    """
    transform = _build_transform(profile)
    if isinstance(transform, str):
        return rgb
    from PIL import Image, ImageCms  # noqa: PLC0415  # few images have a profile

    image = ImageCms.applyTransform(Image.fromarray(rgb), transform)
    return rgb if image is None else np.asarray(image)


def describe_profile(profile: bytes) -> tuple[str, ...]:
    """Say why a profile is left out: one sentence, or none where it is applied."""
    transform = _build_transform(profile)
    return (f"ICC Profile is left out: {transform}",) if isinstance(transform, str) else ()


@lru_cache(maxsize=8)
def _build_transform(profile: bytes) -> ImageCmsTransform | str:
    """Build a conversion, which takes longer than to apply it, so the frames of a slide share one; or say why not."""
    from PIL import ImageCms  # noqa: PLC0415  # few images have a profile

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        colors = source.profile.xcolor_space.strip()
        if colors != "RGB":
            return f"it is for {colors or 'unknown'} colors"
        target = ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(source, target, "RGB", "RGB", ImageCms.Intent.PERCEPTUAL)
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        return f"it is damaged ({error})"
