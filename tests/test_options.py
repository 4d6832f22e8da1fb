"""Options refuse impossible values when they are made, by the name of the option."""

from __future__ import annotations

import math

import pytest

from dsp_batch.errors import OptionsError
from dsp_batch.options import ContrastMosaicOptions, ImageOptions, MosaicOptions, parse_contrast

CONTRASTS = (parse_contrast("auto"),)


@pytest.mark.parametrize("value", [-0.001, 1.001, math.nan, math.inf])
def test_a_fraction_out_of_bounds_is_refused_by_its_option(value: float) -> None:
    with pytest.raises(OptionsError, match="--position"):
        ImageOptions(position=value)
    with pytest.raises(OptionsError, match="--position"):
        ContrastMosaicOptions(contrasts=CONTRASTS, position=value)
    with pytest.raises(OptionsError, match="--start"):
        MosaicOptions(start=value)
    with pytest.raises(OptionsError, match="--end"):
        MosaicOptions(end=value)


def test_a_range_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(OptionsError, match=r"--start 0\.6 .* --end 0\.4"):
        MosaicOptions(start=0.6, end=0.4)
    with pytest.raises(OptionsError, match=r"--start 0\.6 .* --end 0\.4"):
        ContrastMosaicOptions(contrasts=CONTRASTS, start=0.6, end=0.4)
