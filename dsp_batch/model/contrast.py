"""How stored values become gray: the contrast that a user asks for."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from dsp_batch.errors import OptionsError, show_value
from dsp_batch.model.window import ALIASES, PRESETS, Window

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_WINDOW = re.compile(rf"\s*({_NUMBER})\s*[/,]\s*({_NUMBER})\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """How stored values become gray: a fixed window, the object's own, or one computed from the frames drawn."""

    kind: Literal["window", "embedded", "auto"]
    window: Window | None = None
    """Given when and only when kind is `window`."""

    def __post_init__(self) -> None:
        if self.kind not in ("window", "embedded", "auto"):
            raise OptionsError(
                f"kind of a contrast must be 'window', 'embedded' or 'auto', not {show_value(self.kind)}"
            )
        if not isinstance(self.window, Window | None):
            raise OptionsError(f"window of a contrast must be a Window, not {show_value(self.window)}")
        if (self.window is None) == (self.kind == "window"):
            raise OptionsError(f"contrast {self.kind!r} and window {self.window} do not go together")


EMBEDDED = Contrast(kind="embedded")
AUTO = Contrast(kind="auto")


def parse_contrast(text: str | Contrast) -> Contrast:
    """Read the name of a preset, `auto`, `embedded`, or a window written `W/C` or `W,C`.

    Args:
        text: For example `ct-lung`, `Lung`, `soft_tissue`, `1500/-500`. A contrast is returned as it is.

    Raises:
        OptionsError: The name is unknown, or the width is not a positive number; the message lists the names.

    Example:
        >>> parse_contrast("1500/-500") == parse_contrast("ct-lung")
        True
    """
    if isinstance(text, Contrast):
        return text
    if not isinstance(text, str):
        raise OptionsError(
            f"contrast must be text such as 'ct-lung' or '1500/-500', or a Contrast, not {show_value(text)}"
        )
    name = text.strip().lower().replace("_", "-")
    if name in ("auto", "embedded"):
        return AUTO if name == "auto" else EMBEDDED
    name = ALIASES.get(name, name)
    preset = PRESETS.get(name) or PRESETS.get(f"ct-{name}")
    if preset is not None:
        return Contrast(kind="window", window=preset)
    if match := _WINDOW.fullmatch(text):
        width, center = float(match[1]), float(match[2])
        if width > 0 and math.isfinite(width) and math.isfinite(center):
            return Contrast(kind="window", window=Window(width=width, center=center))
    names = ", ".join(["auto", "embedded", *PRESETS])
    raise OptionsError(
        f"unknown contrast {text!r}: give one of {names}, or WIDTH/CENTER with a positive width (1500/-500)"
    )
