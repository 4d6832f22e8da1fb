"""environment.yml says the same as pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent
CONDA_NAMES = {"dask-core": "dask", "prometheus_client": "prometheus-client"}
PIP_ONLY = {"idc-index-data"}


def declared() -> dict[str, str]:
    """Requirement → lower bound, of the package and its run-time extras."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [
        *project["dependencies"],
        *(line for name in ("idc", "gcs", "azure", "dashboard") for line in extras[name]),
    ]
    return dict(line.split(">=") for line in lines)


def environment() -> list[tuple[int, str]]:
    """Indentation and text of each entry below `dependencies`."""
    text = (PROJECT / "environment.yml").read_text().partition("dependencies:")[2]
    return [(len(m[1]), m[2].partition(" #")[0].strip()) for m in re.finditer(r"^( *)- (.*)$", text, re.MULTILINE)]


def test_conda_and_pip_take_the_same_requirements() -> None:
    entries = dict(entry.split(">=") for _, entry in environment() if ">=" in entry)
    python = entries.pop("python")

    assert {CONDA_NAMES.get(name, name): bound for name, bound in entries.items()} == declared()
    assert python == "3.12"


def test_only_what_conda_forge_lacks_comes_through_pip() -> None:
    through_pip = {entry.split(">=")[0] for indent, entry in environment() if indent > 2}

    assert through_pip == PIP_ONLY


def test_channels_are_conda_forge_alone() -> None:
    text = (PROJECT / "environment.yml").read_text()
    channels = re.findall(r"^  - (.*)$", text.partition("channels:")[2].partition("dependencies:")[0], re.MULTILINE)

    assert channels == ["conda-forge", "nodefaults"]
