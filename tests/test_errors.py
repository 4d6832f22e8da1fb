"""Errors cross from a worker to the runner with all that they tell."""

from __future__ import annotations

import pickle

import pytest

from dsp_batch import errors
from dsp_batch.errors import DspBatchError, NoPixelsError

CLASSES = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, DspBatchError)]


@pytest.mark.parametrize("error_class", CLASSES)
def test_every_error_survives_pickling(error_class: type[DspBatchError]) -> None:
    again = pickle.loads(pickle.dumps(error_class("what is wrong", "network")))

    assert (type(again), again.message, again.reason, str(again)) == (
        error_class,
        "what is wrong",
        "network",
        again.message,
    )


def test_what_is_known_of_a_series_without_pixels_travels_with_its_error() -> None:
    known = {"modality": "SR", "sop_class": None}

    assert pickle.loads(pickle.dumps(NoPixelsError("nothing to draw", known=known))).known == known
