"""The kinds of images that are more than plain ones: pictures are made of several frames, or shown in colors."""

from __future__ import annotations

from dsp_batch.kinds.kind import Kind
from dsp_batch.kinds.maps import DOSE, PARAMETRIC_MAP
from dsp_batch.kinds.segmentation import SEGMENTATION
from dsp_batch.kinds.slide import SLIDE

_STORAGE = "1.2.840.10008.5.1.4.1.1"

COMPOSED_KINDS: dict[str, Kind] = {
    f"{_STORAGE}.66.4": SEGMENTATION,
    f"{_STORAGE}.66.7": SEGMENTATION,  # label map
    f"{_STORAGE}.77.1.6": SLIDE,
    f"{_STORAGE}.481.2": DOSE,
    f"{_STORAGE}.30": PARAMETRIC_MAP,
}
"""The kind of each SOP class of such images."""
