"""Headers and tiles of whole slides for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from datasets import make_attributes

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.model.frame import GrayscaleTransform, StoredFrame
from dsp_batch.model.series import FrameRef, StoredArray


def stored(values: Any, dtype: Any = np.uint8, aspect: float = 1.0) -> StoredFrame:
    return StoredFrame(values=np.asarray(values, dtype), transform=GrayscaleTransform(), aspect=aspect)


def frames_of(arrays: dict[int, Any], row: int = 0) -> dict[FrameRef, StoredFrame]:
    return {FrameRef(row, frame): stored(array) for frame, array in arrays.items()}


def make_slide(flavor: str, rows: int, columns: int, tile: int = 4, **values: Any) -> Attributes:
    across, down = -(-columns // tile), -(-rows // tile)
    fields = {
        "ImageType": ["ORIGINAL", "PRIMARY", flavor, "NONE"],
        "Rows": tile,
        "Columns": tile,
        "TotalPixelMatrixRows": rows,
        "TotalPixelMatrixColumns": columns,
        "NumberOfFrames": across * down,
        "DimensionOrganizationType": "TILED_FULL",
    }
    return make_attributes(**(fields | values))


def cut_tiles(image: StoredArray, tile: int) -> dict[int, StoredArray]:
    rows, columns = image.shape[:2]
    padded = np.zeros((-(-rows // tile) * tile, -(-columns // tile) * tile, *image.shape[2:]), image.dtype)
    padded[:rows, :columns] = image
    places = [(top, left) for top in range(0, rows, tile) for left in range(0, columns, tile)]
    return {n: padded[top : top + tile, left : left + tile] for n, (top, left) in enumerate(places)}
