"""Frame tables for tests: a few named columns, the rest absent."""

from __future__ import annotations

import numpy as np

from dsp_batch.model.series import FrameTable

AXIAL = (1, 0, 0, 0, 1, 0)
CORONAL = (1, 0, 0, 0, 0, -1)
SAGITTAL = (0, 1, 0, 0, 0, -1)
NOWHERE = (np.nan, np.nan, np.nan)
NO_ORIENTATION = (np.nan,) * 6


def make_table(count: int, **columns: object) -> FrameTable:
    """Frames of single-frame instances; what is not given is absent, and one given row stands for all."""

    def column(name: str, default: object, *shape: int) -> np.ndarray:
        return np.array(np.broadcast_to(np.asarray(columns.get(name, default), dtype=float), (count, *shape)))

    return FrameTable(
        instance=np.arange(count),
        frame=column("frame", 0).astype(int),
        position=column("position", np.nan, 3),
        orientation=column("orientation", np.nan, 6),
        slice_location=column("slice_location", np.nan),
        instance_number=column("instance_number", np.nan),
        times=column("times", np.nan, 6),
        sop_instance_uid=tuple(columns.get("sop_instance_uid", [f"1.2.{entry}" for entry in range(count)])),
        name=tuple(columns.get("name", [f"{entry:05}.dcm" for entry in range(count)])),
    )
