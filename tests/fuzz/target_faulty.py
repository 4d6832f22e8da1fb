"""What no part of the package does, one way for each input: the check that each of them is noticed."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from case import CANARY, SECRET, Case, Target
from chance import Chance

from dsp_batch.errors import DspBatchError

FAULTS = ("none", "error", "foreign", "outside", "secret", "patient", "death")
"""What the inputs of seeds do. A test has to ask for "slow", "memory" and "hang", which take their time."""


def make(chance: Chance) -> Case:
    """Choose a fault; the tests make their own inputs."""
    return Case(data=b"", settings={"fault": chance.choice(FAULTS)})


def attempt(case: Case, folder: Path) -> None:
    """Do it."""
    match case.settings["fault"]:
        case "error":
            raise DspBatchError("a line that says what is wrong")
        case "foreign":
            raise ValueError("an exception of a library")
        case "outside":
            (folder.parent / "beside").write_text("")
        case "secret":
            (folder.parent / SECRET).read_bytes()
        case "patient":
            logging.getLogger("dsp_batch.x").debug("the patient %s^NAME", CANARY)
        case "death":
            os.abort()
        case "slow" | "memory" | "hang" as resource:
            _spend(resource)


_MOST_MEMORY = 1 << 27
_LONG = 60.0
"""Seconds, many times those after which the test takes a silent process for one that hangs."""


def _spend(resource: str) -> None:
    if resource == "memory":
        b"x" * (2 * _MOST_MEMORY)
    elif resource == "hang":
        time.sleep(_LONG)
    else:
        while True:
            pass


TARGET = Target("faulty", make, attempt, seconds=3.0, most_memory=_MOST_MEMORY)
