"""An input of fuzzing, and the file that keeps one which failed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chance import Chance

CANARY = "CANARY"
"""Word in the patient attributes of all generated objects, which no message may hold."""

SECRET = "secret.dcm"
"""Name of a file beside the folder that an attempt works in, which nothing may read."""


PROGRESS, FAILURES = "progress", "failures.jsonl"
"""Files of a target's folder: the seed whose input is tried, or the one behind the last; and a line of JSON for each
failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One input: bytes, and what else the attempt is told."""

    data: bytes
    settings: dict[str, Any] = field(default_factory=dict)
    """Values that JSON can carry."""


@dataclass(frozen=True, slots=True)
class Target:
    """A part of the package that takes data from outside."""

    name: str
    make: Callable[[Chance], Case]
    """Makes an input; the same one for the same seed, while the folder of real data stays as it is."""

    attempt: Callable[[Case, Path], None]
    """Gives an input to the package. It may read and write in a folder, which it shares with the attempts before it.
    Errors of the package are good answers."""

    seconds: float = 15.0
    """Seconds of computing that an attempt may take. Other programs on the machine do not count."""

    most_memory: int = 1 << 30
    """Bytes by which an attempt may raise the most memory that the process has held."""


def save_case(case: Case, path: Path) -> None:
    """Write an input to a file: a line of JSON, then its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(json.dumps(case.settings).encode() + b"\n" + case.data)


def load_case(path: Path) -> Case:
    """Read an input from its file."""
    settings, _, data = path.read_bytes().partition(b"\n")
    return Case(data=data, settings=json.loads(settings))
