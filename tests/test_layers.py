"""The rooms of the package: who may import whom, the one home of each heavy dependency, and the size of rooms."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "dsp_batch"

LAYERS = [
    {"errors", "version", "phantom"},
    {"model"},
    {"options"},
    {"core", "storage", "dicom"},
    {"kinds", "idc", "index"},
    {"names", "cache"},
    {"fetch", "references", "render", "scan"},
    {"pipeline"},
    {"batch"},
    {"web"},
    {"cli", "__main__"},
]
"""Rooms from the ground up; a room imports from its own layer and from those below."""

BATCH_LAYERS = [
    {"clock", "garbage", "manifest", "notebook", "outage"},
    {"runs"},
    {"plan"},
    {"sharding"},
    {"cluster"},
    {"waiting"},
    {"run"},
    {"retry", "demo"},
]
"""The same inside `batch`."""

STRANGERS = {
    ("storage", "dicom"),
    ("storage", "core"),
    ("core", "storage"),
    ("core", "dicom"),
    ("dicom", "storage"),
}
"""Room → a room of its own layer that it must not know."""

HOMES = {
    "dask": {"batch/cluster"},
    "distributed": {"batch/cluster"},
    "click": {"cli", "__main__"},
    "rich": {"cli"},
    "pydicom": {"dicom", "phantom"},
    "imagecodecs": {"dicom/pixels", "phantom"},
    "obstore": {"storage"},
    "s3fs": {"storage"},
    "fsspec": {"storage"},
    "botocore": {"storage"},
    "PIL": {
        "core/encoding",
        "core/animation",
        "model/frame",
        "dicom/pixels/profiles",
        "render/overlays/strokes",
        "render/text",
    },
    "pyarrow": {"index", "idc", "references/finished", "batch/manifest", "batch/runs", "scan"},
    "idc_index_data": {"idc"},
    "platformdirs": {"cache"},
    "prometheus_client": {"batch/cluster"},
    "pypdfium2": {"render/figures/page"},
    "tornado": {"web/viewer/server"},
}
"""Heavy dependency → rooms, or files, that may import it."""

MOST_FILES = 14
MOST_FILES_AT_THE_ROOT = 11
MOST_LINES = 400

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
"""All but the list of public names, which points at every layer."""


def module_of(path: Path) -> str:
    """Path of a file or folder below the package, without its suffix: `batch/cluster/in_flight`."""
    return str(path.relative_to(PACKAGE).with_suffix("")).removesuffix("/__init__")


MODULES = {module_of(path): path for path in FILES}


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports anywhere in it: ours as paths below the package, others by their first name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            first, *rest = name.split(".")
            inside = "/".join(rest) if "/".join(rest) in MODULES else "/".join(rest[:-1])
            yield inside if first == "dsp_batch" and inside in MODULES else first


def ours(path: Path) -> set[str]:
    return {module for module in imports(path) if module in MODULES and module != module_of(path)}


def layer_of(room: str, layers: list[set[str]]) -> int:
    return next(number for number, rooms in enumerate(layers) if room in rooms)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_go_downward_only(path: Path) -> None:
    room, *inside = module_of(path).split("/")
    for module in ours(path):
        other, *within = module.split("/")
        assert layer_of(other, LAYERS) <= layer_of(room, LAYERS), f"{room} imports {module}"
        assert (room, other) not in STRANGERS, f"{room} imports {module}"
        if room == other == "batch" and inside and within:
            assert layer_of(within[0], BATCH_LAYERS) <= layer_of(inside[0], BATCH_LAYERS), f"{path} imports {module}"


def test_phantoms_import_nothing_of_the_package_and_only_the_demonstration_imports_them() -> None:
    for path in FILES:
        rooms = {module.split("/")[0] for module in ours(path)}
        if module_of(path).startswith("phantom"):
            assert rooms <= {"phantom"}, path
        elif module_of(path) != "batch/demo":
            assert "phantom" not in rooms, path


def test_no_files_import_one_another_in_a_circle() -> None:
    list(TopologicalSorter({module: ours(path) for module, path in MODULES.items()}).static_order())


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_no_file_of_ours_is_imported_for_types_alone(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            assert "dsp_batch" not in ast.unparse(node), "an import that only types need hides a circle"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_each_heavy_dependency_has_one_home(path: Path) -> None:
    module = module_of(path)
    for dependency in imports(path):
        homes = HOMES.get(dependency)
        assert homes is None or any(f"{module}/".startswith(f"{home}/") for home in homes), f"imports {dependency}"


def test_every_home_is_used() -> None:
    for dependency, homes in HOMES.items():
        for home in homes:
            files = [path for module, path in MODULES.items() if f"{module}/".startswith(f"{home}/")]
            assert any(dependency in imports(path) for path in files), f"{home} does not import {dependency}"


def test_no_folder_holds_more_files_than_can_be_taken_in_at_a_glance() -> None:
    counts = Counter(path.parent for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")

    assert counts.pop(PACKAGE) < MOST_FILES_AT_THE_ROOT  # and __init__.py
    assert max(counts.values()) <= MOST_FILES


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_no_file_is_longer_than_one_noun_needs(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_no_two_public_classes_share_a_name() -> None:
    names = Counter(
        node.name
        for path in FILES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )

    assert {name for name, count in names.items() if count > 1} == set()


def test_no_room_is_a_drawer_for_everything() -> None:
    assert not {path.stem for path in FILES} & {"utils", "util", "common", "helpers", "misc"}
