"""Options: what they accept, what they make of it, and that a wrong type is an error of one line."""

from __future__ import annotations

import doctest
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dsp_batch.model.contrast
from dsp_batch.batch.plan.plan import PlanOptions
from dsp_batch.errors import OptionsError
from dsp_batch.model.contrast import Contrast, parse_contrast
from dsp_batch.model.window import Window
from dsp_batch.options import ClusterOptions, ContrastMosaicOptions, ImageOptions, IndexOptions, MosaicOptions

REQUIRED: dict[type[Any], dict[str, Any]] = {
    MosaicOptions: {},
    ImageOptions: {"position": 0.5},
    ContrastMosaicOptions: {"contrasts": ("ct-lung", "auto"), "start": 0.0},
    IndexOptions: {},
    ClusterOptions: {},
    PlanOptions: {},
    Contrast: {"kind": "auto"},
}
"""Class of options → what must be given."""

FIELDS = [
    (kind, each.name) for kind in REQUIRED for each in fields(kind) if (kind, each.name) != (ClusterOptions, "client")
]


@pytest.mark.parametrize(
    "value", [object(), 3j, b"128", {"a": 1}, "1\n2" * 100, []], ids=lambda value: type(value).__name__
)
@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=[f"{kind.__name__}.{name}" for kind, name in FIELDS])
def test_a_value_of_a_wrong_type_is_an_error_of_one_line(kind: type[Any], name: str, value: Any) -> None:
    text = isinstance(value, str)
    if text and name in ("scheduler", "scheduler_file", "performance_report"):
        return

    with pytest.raises(OptionsError) as caught:
        kind(**{**REQUIRED[kind], name: value})

    assert len(caught.value.message.splitlines()) == 1
    assert name.rstrip("s") in caught.value.message
    assert text or len(caught.value.message) < 250


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (MosaicOptions, {"image_width": "128"}, "image_width must be a whole number, not '128'"),
        (MosaicOptions, {"image_width": True}, "image_width must be a whole number, not True"),
        (MosaicOptions, {"quality": 25.0}, "quality must be a whole number, not 25.0"),
        (MosaicOptions, {"overlays": 1}, "overlays must be True or False, not 1"),
        (MosaicOptions, {"start": None}, "start must be a number, not None"),
        (
            MosaicOptions,
            {"contrast": 3},
            "contrast must be text such as 'ct-lung' or '1500/-500', or a Contrast",
        ),
        (ContrastMosaicOptions, {"contrasts": "ct-lung", "start": 0}, "contrasts must be a sequence of contrasts"),
        (ContrastMosaicOptions, {"contrasts": ("auto", 3), "start": 0}, "contrast must be text"),
        (ImageOptions, {"position": "0.5"}, "position must be a number, not '0.5'"),
        (ClusterOptions, {"scheduler": 8786}, "scheduler must be text, not 8786"),
    ],
)
def test_the_message_says_what_is_wrong_with_which_field(kind: type[Any], values: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsError) as caught:
        kind(**values)

    assert caught.value.message.startswith(message)


def test_contrasts_may_be_given_by_name() -> None:
    lung = parse_contrast("ct-lung")

    assert MosaicOptions(contrast="ct-lung") == MosaicOptions(contrast=lung)
    assert ImageOptions(position=0.5, contrast="1500,-500").column_contrasts == (lung,)
    options = ContrastMosaicOptions(contrasts=["lung", Contrast(kind="auto")], start=0.0)
    assert options.contrasts == options.column_contrasts == (lung, parse_contrast("auto"))
    with pytest.raises(OptionsError, match="unknown contrast 'bones'"):
        MosaicOptions(contrast="bones")


def test_options_that_mean_the_same_are_the_same() -> None:
    options = MosaicOptions(image_width=np.int64(64), start=0, end=np.float32(1))  # type: ignore[arg-type]  # NumPy's

    assert options == MosaicOptions(image_width=64)
    assert {name: type(getattr(options, name)) for name in ("image_width", "start", "end")} == {
        "image_width": int,
        "start": float,
        "end": float,
    }
    assert ClusterOptions(scheduler_file=Path("a.json")) == ClusterOptions(scheduler_file="a.json")


def test_a_contrast_of_another_kind_is_refused() -> None:
    for values in ({"kind": "windows"}, {"kind": "window", "window": (350, 50)}, {"kind": "auto", "window": "no"}):
        with pytest.raises(OptionsError, match=r"of a contrast must be"):
            Contrast(**values)  # type: ignore[arg-type]  # what the test is about
    assert Contrast(kind="window", window=Window(width=1500, center=-500)) == parse_contrast("ct-lung")


def test_docstring_examples_run() -> None:
    found = doctest.testmod(dsp_batch.model.contrast)

    assert (found.attempted, found.failed) == (1, 0)


@pytest.mark.parametrize("value", [-0.001, 1.001, math.nan, math.inf])
def test_a_fraction_out_of_bounds_is_refused_by_its_option(value: float) -> None:
    with pytest.raises(OptionsError, match="--position"):
        ImageOptions(position=value)
    with pytest.raises(OptionsError, match="--position"):
        ContrastMosaicOptions(contrasts=("auto",), position=value)
    with pytest.raises(OptionsError, match="--start"):
        MosaicOptions(start=value)
    with pytest.raises(OptionsError, match="--end"):
        MosaicOptions(end=value)


def test_a_range_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(OptionsError, match=r"--start 0\.6 .* --end 0\.4"):
        MosaicOptions(start=0.6, end=0.4)
    with pytest.raises(OptionsError, match=r"--start 0\.6 .* --end 0\.4"):
        ContrastMosaicOptions(contrasts=("auto",), start=0.6, end=0.4)
