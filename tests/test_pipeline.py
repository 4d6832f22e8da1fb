"""The calls for Python: the same as the commands, with values in the place of files."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

import dsp_batch
from dsp_batch import pipeline
from dsp_batch.cache import index_key, open_cache
from dsp_batch.cli.series import program
from dsp_batch.errors import OptionsError, SeriesError, StorageError
from dsp_batch.fetch import find_machine_memory
from dsp_batch.model.contrast import parse_contrast
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import ContrastMosaicOptions, ImageOptions, MosaicOptions
from dsp_batch.phantom.series import build_ct, build_report, write_collection
from dsp_batch.pipeline import find_series, load_index, preview

CT = build_ct("api", count=5, size=24)


@pytest.fixture
def root(tmp_path: Path) -> str:
    write_collection(tmp_path / "series", [CT, build_report("api-report")])
    return str(tmp_path / "series")


def test_a_name_is_found_below_the_root(root: str) -> None:
    ref = find_series(CT.series_uuid.upper(), root=root)

    assert (ref.root, ref.series_uuid) == (root, CT.series_uuid)


def test_a_prefix_is_looked_up(root: str) -> None:
    assert find_series(f"{CT.series_uuid[:7]}*", root=root).series_uuid == CT.series_uuid


def test_a_place_brings_its_own_root(root: str) -> None:
    assert find_series(f"{root}/{CT.series_uuid}/", root="s3://elsewhere").url == f"{root}/{CT.series_uuid}"


def test_a_name_that_is_none_is_an_error_with_the_accepted_forms() -> None:
    with pytest.raises(OptionsError, match="32 hex digits"):
        find_series("38902e14-b11f")


def test_an_index_is_one_table_in_display_order(root: str) -> None:
    index = load_index(CT.series_uuid, root=root)

    assert index.table.num_rows == len(index) == 5
    assert index.values("InstanceNumber") == [5, 4, 3, 2, 1]


def test_a_cached_index_takes_the_place_of_the_series(root: str, tmp_path: Path) -> None:
    cache = open_cache(str(tmp_path / "cache"))
    first = load_index(CT.series_uuid, root=root, cache=cache)
    shutil.rmtree(Path(root) / CT.series_uuid)

    assert load_index(CT.series_uuid, root=root, cache=cache).table.equals(first.table)
    with pytest.raises(StorageError) as caught:
        load_index(CT.series_uuid, root=root)
    assert caught.value.reason == "not-found"


def test_nothing_is_cached_unless_a_cache_is_given(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOM_SERIES_PREVIEW_CACHE_DIR", str(tmp_path / "default"))

    preview(CT.series_uuid, root=root)
    assert not (tmp_path / "default").exists()

    cache = open_cache(None)
    preview(CT.series_uuid, root=root, cache=cache)
    assert (tmp_path / "default" / index_key(CT.series_uuid)).is_file()


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["mosaic"], MosaicOptions()),
        (["mosaic", "--tile-width", "2"], MosaicOptions(tile_width=2)),
        (["get-image", "--position", "0.5"], ImageOptions(position=0.5)),
        (
            ["contrast-mosaic", "--position", "0", "--contrast", "lung", "--contrast", "auto"],
            ContrastMosaicOptions(contrasts=(parse_contrast("lung"), parse_contrast("auto")), position=0),
        ),
    ],
    ids=["default", "mosaic", "image", "contrasts"],
)
def test_a_preview_is_the_file_that_the_command_writes(
    words: list[str], options: MosaicOptions | ImageOptions | ContrastMosaicOptions, root: str, tmp_path: Path
) -> None:
    output = tmp_path / "out.webp"
    with pytest.raises(SystemExit) as ended:
        program([*words, f"{root}/{CT.series_uuid}", str(output), "--no-cache"])

    assert not ended.value.code
    assert preview(CT.series_uuid, options, root=root).data == output.read_bytes()


def test_a_preview_may_be_a_jpeg(root: str) -> None:
    image = preview(CT.series_uuid, MosaicOptions(tile_width=2, image_width=40), root=root, suffix=".jpg")

    with Image.open(BytesIO(image.data)) as opened:
        assert (opened.format, opened.size) == ("JPEG", (image.width, image.height))
    assert (image.width, image.height) == (80, 80)


def test_an_entry_of_a_manifest_is_a_series_too(root: str, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.txt"
    manifest.write_text(f"{root}/{CT.series_uuid}\n")

    (entry,) = dsp_batch.read_manifest(str(manifest))

    assert isinstance(entry, SeriesRef)
    assert preview(entry).data == preview(CT.series_uuid, root=root).data


def test_a_series_without_pixels_has_an_index_and_no_preview(root: str) -> None:
    report = build_report("api-report").series_uuid

    assert load_index(report, root=root).values("Modality") == ["SR"]
    with pytest.raises(SeriesError) as caught:
        preview(report, MosaicOptions(), root=root)
    assert caught.value.reason == "no-pixels"


def test_every_public_name_loads_and_is_known_to_type_checkers() -> None:
    tree = ast.parse(Path(dsp_batch.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    declared = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}

    assert sorted(declared) == dsp_batch.__all__ == dir(dsp_batch)
    assert all(getattr(dsp_batch, name) is not None for name in dsp_batch.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = dsp_batch.no_such_name  # type: ignore[attr-defined]  # that is the test


@pytest.mark.parametrize("options", ["MosaicOptions", "PreviewOptions"])
def test_a_picture_of_images_loads_no_room_of_other_objects(root: str, tmp_path: Path, options: str) -> None:
    cache = str(tmp_path / "cache")
    load_index(CT.series_uuid, root=root, cache=cache)
    script = f"""
import json, sys
from dsp_batch import {options}, preview
preview({CT.series_uuid!r}, {options}(), root={root!r}, cache={cache!r})
print(json.dumps(list(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True, timeout=60)
    loaded = json.loads(done.stdout)

    rooms = (
        *(
            "kinds.objects",
            "kinds.figures",
            "kinds.without_pixels",
            "kinds.composed",
            "kinds.overlays.scene",
            "kinds.overlays.by_class",
        ),
        *("render.figures", "render.overlays", "render.described", "render.text", "render.cine"),
        *("scan.folder_scan", "batch", "web"),
    )
    assert not [name for name in loaded if name.startswith(tuple(f"dsp_batch.{room}" for room in rooms))]
    assert not {"pydicom", "pyarrow.compute", "s3fs", "dask", "click"} & {*loaded}


def test_headers_alone_may_take_the_memory_of_the_machine(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = find_machine_memory()
    assert memory is not None
    assert 1 << 26 < memory <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert len(load_index(CT.series_uuid, root=root)) == 5

    monkeypatch.setattr(pipeline, "find_machine_memory", lambda: 100_000)
    with pytest.raises(SeriesError, match="there are 0 MB for a series: run it where there is more memory") as caught:
        load_index(CT.series_uuid, root=root)
    assert caught.value.reason == "out-of-memory"
