"""The rooms of the package: who may import whom, and the one home of each heavy dependency."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "dsp_batch"

LAYERS = [
    {"errors", "model", "display", "options", "attributes", "reading", "version"},
    {"core"},
    {"storage", "dicom"},
    {"arrays", "columns", "frame_table", "header_table", "header_view", "series_view"}
    | {"index", "indexing", "cache", "naming", "idc", "pictures", "drawables"},
    {"memory", "fetching", "painting", "completion", "filling", "rendering", "pipeline", "api"},
    {"batch"},
    {"cli", "__main__"},
]
"""Rooms from the ground up; a room imports from its own layer and from those below."""

STRANGERS = {("storage", "dicom"), ("dicom", "storage")}
"""Neighbors on one layer that must not know each other."""

HOMES = {
    "dask": {"batch"},
    "distributed": {"batch"},
    "click": {"cli"},
    "pydicom": {"dicom"},
    "imagecodecs": {"dicom"},
    "obstore": {"storage"},
    "s3fs": {"storage"},
    "fsspec": {"storage"},
    "botocore": {"storage"},
    "PIL": {"core/encoding", "dicom"},
    "pyarrow": {"arrays", "columns", "header_table", "header_view", "series_view", "index", "indexing", "idc", "batch"},
    "idc_index_data": {"idc"},
    "platformdirs": {"cache"},
    "rich": {"batch", "cli"},
}
"""Heavy dependency → rooms, or files, that may import it."""

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
"""All but the list of public names, which points at every layer."""


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def layer_of(room: str) -> int:
    return next(number for number, rooms in enumerate(LAYERS) if room in rooms)


def imports(path: Path) -> list[str]:
    """Modules that a file imports anywhere in it, with what it takes from packages of ours."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            takes_modules = node.module == "dsp_batch"
            found += [f"{node.module}.{alias.name}" for alias in node.names] if takes_modules else [node.module]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward_only(path: Path) -> None:
    room = room_of(path)
    for module in imports(path):
        parts = module.split(".")
        if parts[0] != "dsp_batch" or len(parts) == 1:
            continue
        other = parts[1]
        assert layer_of(other) <= layer_of(room), f"{room} imports {module}"
        assert (room, other) not in STRANGERS, f"{room} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_heavy_dependency_has_one_home(path: Path) -> None:
    file = str(path.relative_to(PACKAGE).with_suffix(""))
    for module in imports(path):
        homes = HOMES.get(module.split(".")[0])
        assert homes is None or homes & {room_of(path), file}, f"{file} imports {module}"


def test_every_home_is_used() -> None:
    used = {module.split(".")[0] for path in FILES for module in imports(path)}

    assert set(HOMES) <= used


def test_no_room_is_a_drawer_for_everything() -> None:
    names = {path.stem for path in FILES}

    assert not names & {"utils", "util", "common", "helpers", "misc"}
