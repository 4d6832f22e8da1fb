"""The harness notices what it looks for, and goes on behind it."""

from __future__ import annotations

from pathlib import Path

import pytest
from attempts import Attempts
from case import Case, load_case, save_case
from target_faulty import FAULTS


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("none", None),
        ("error", None),
        ("foreign", "ValueError in target_faulty.attempt"),
        ("outside", "outside of its folder"),
        ("secret", "outside of its folder"),
        ("patient", "a patient in a message"),
        ("death", "death by SIGABRT"),
        ("slow", "slow in target_faulty._spend"),
        ("memory", "memory"),
    ],
)
def test_each_fault_is_noticed_when_its_input_is_tried_again(fault: str, kind: str | None, tmp_path: Path) -> None:
    save_case(Case(data=b"", settings={"fault": fault}), tmp_path / "faulty-1.case")
    attempts = Attempts(target="faulty", folder=tmp_path / "work")

    attempts.replay(tmp_path / "faulty-1.case")

    assert [failure.kind for failure in attempts.failures] == ([] if kind is None else [kind])


def test_an_input_at_which_the_process_sleeps_hangs(tmp_path: Path) -> None:
    save_case(Case(data=b"", settings={"fault": "hang"}), tmp_path / "faulty-1.case")
    attempts = Attempts(target="faulty", folder=tmp_path / "work", silence=4)

    attempts.replay(tmp_path / "faulty-1.case")

    (failure,) = attempts.failures
    assert failure.kind == "hang"
    assert "target_faulty.py" in failure.message  # the stacks show where


def test_attempts_go_on_behind_a_death_and_the_input_is_kept(tmp_path: Path) -> None:
    attempts = Attempts(target="faulty", folder=tmp_path)

    attempts.run(60, seconds=100)

    assert (attempts.tried, attempts.next_seed) == (60, 60)
    deaths = attempts.kinds()["death by SIGABRT"]
    assert len(deaths) == attempts.deaths > 1
    assert load_case(attempts.path_of(deaths[0])).settings == {"fault": "death"}
    assert len(attempts.kinds()) == len(FAULTS) - 3  # two are none, and two are of one kind
