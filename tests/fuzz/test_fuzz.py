"""A minute of fuzzing with fixed seeds; `make fuzz` goes on from there."""

from __future__ import annotations

from pathlib import Path

import pytest
from attempts import Attempts
from fuzz import TARGETS

SEED = 1_000_000
"""First of the fixed seeds."""

INPUTS = {
    "headers": 400, "series": 200, "codestreams": 3000, "tables": 100,
    "manifests": 600, "listings": 1000, "indices": 120, "runs": 200,
}  # fmt: skip
"""Inputs of each target: as many as take some five seconds on a quiet machine."""

SECONDS = 120.0
"""Seconds after which a busy machine tries no more of them."""


@pytest.mark.parametrize(
    "target", [pytest.param(target, marks=pytest.mark.xdist_group(f"fuzz-{target}")) for target in TARGETS]
)
def test_odd_input_is_told_in_a_line(target: str, tmp_path: Path) -> None:
    attempts = Attempts(target=target, folder=tmp_path / target, next_seed=SEED)

    attempts.run(INPUTS[target], seconds=SECONDS)

    assert [(failure.seed, failure.kind, failure.message) for failure in attempts.failures] == []
    assert attempts.tried > INPUTS[target] // 50
