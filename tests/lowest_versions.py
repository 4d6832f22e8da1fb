"""Write the lowest versions that `pyproject.toml` declares, as constraints for pip."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1] / "pyproject.toml"

_EXTRAS = ("dashboard", "test")
"""Extras whose packages take part; `dev` has tools that the tests do not use."""

_LOWEST = re.compile(r"([A-Za-z0-9_.-]+)>=([0-9][0-9.]*)")


def list_lowest(project: dict[str, Any]) -> Iterator[str]:
    """List `name==version` for each dependency, with the version that it is declared to need at least.

    Raises:
        ValueError: A dependency has no lowest version, or several conditions.
    """
    extras = project["optional-dependencies"]
    for requirement in dict.fromkeys(
        [*project["dependencies"], *(each for extra in _EXTRAS for each in extras[extra])]
    ):
        found = _LOWEST.fullmatch(requirement)
        if found is None:
            raise ValueError(f"{requirement!r} is no `name>=version`: what is its lowest version?")
        yield f"{found[1]}=={found[2]}"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in list_lowest(tomllib.loads(PROJECT.read_text())["project"]))
