"""The window that maps modality values to display values. It needs no numpy, so that options load quickly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from dsp_batch.errors import OptionsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A linear or sigmoid mapping of modality values to display values (PS3.3 C.11.2)."""

    center: float
    """Window Center (0028,1050), in modality units (HU for CT)."""

    width: float
    """Window Width (0028,1051), in modality units, positive."""

    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR_EXACT"
    """VOI LUT Function (0028,1056). LINEAR_EXACT is what presets and hand-written windows mean."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.center) and math.isfinite(self.width) and self.width > 0):
            raise OptionsError(f"a window needs a positive width and a finite center, not {self.width}/{self.center}")
        if self.function == "LINEAR" and self.width < 1:
            raise OptionsError(f"a LINEAR window needs a width of 1 or more, not {self.width} (PS3.3 C.11.2.1.2.1)")


PRESETS: dict[str, Window] = {
    "ct-lung": Window(width=1500.0, center=-500.0),
    "ct-bone": Window(width=2000.0, center=300.0),
    "ct-brain": Window(width=80.0, center=40.0),
    "ct-abdomen": Window(width=350.0, center=50.0),
    "ct-liver": Window(width=150.0, center=30.0),
    "ct-mediastinum": Window(width=350.0, center=50.0),
    "ct-soft-tissue": Window(width=400.0, center=50.0),
}
"""Windows in HU by name."""

ALIASES = {
    "media": "ct-mediastinum",
    "ct-media": "ct-mediastinum",
    "soft": "ct-soft-tissue",
    "ct-soft": "ct-soft-tissue",
}
"""Shorter names of some presets."""
