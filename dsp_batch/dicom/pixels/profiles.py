"""Convert colors to sRGB by the ICC profiles of slides and photographs (PS3.3 C.11.15)."""

from __future__ import annotations

import io
import logging
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.model.series import ByteArray

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

_log = logging.getLogger(__name__)


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
    if transform is None:
        return rgb
    from PIL import Image, ImageCms  # noqa: PLC0415  # few images have a profile

    image = ImageCms.applyTransform(Image.fromarray(rgb), transform)
    return rgb if image is None else np.asarray(image)


@lru_cache(maxsize=8)
def _build_transform(profile: bytes) -> ImageCmsTransform | None:
    """Build a conversion. That takes longer than to apply it, so the frames of a slide share one."""
    from PIL import ImageCms  # noqa: PLC0415  # few images have a profile

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != "RGB":
            return None
        target = ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(source, target, "RGB", "RGB", ImageCms.Intent.PERCEPTUAL)
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        _log.info("ICC profile left out: %s", error)
        return None
