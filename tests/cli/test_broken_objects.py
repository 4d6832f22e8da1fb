"""Damaged files of the real data pack, one after the other: a result or one line, and never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_folder import DATA, list_objects, needs_data
from outcomes import Run

BROKEN = [path.name for path in list_objects(DATA / "broken")] if DATA.is_dir() else []


@needs_data
@pytest.mark.parametrize("name", BROKEN)
def test_a_damaged_object_is_a_result_or_one_line(preview: Run, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "00000000-0000-0000-0000-000000000000"
    folder.mkdir()
    (folder / "object.dcm").write_bytes((DATA / "broken" / name).read_bytes())

    index = preview("build-index", folder)
    mosaic = preview("mosaic", folder, tmp_path / "out.webp")

    for outcome in (index, mosaic):
        assert outcome.stdout == ""
        assert len(outcome.stderr.splitlines()) == len(outcome.warnings) + len(outcome.errors)
        assert len(outcome.errors) == outcome.status <= 1
    assert (tmp_path / "out.webp").exists() == (mosaic.status == 0)


@needs_data
def test_the_data_pack_has_damaged_objects() -> None:
    assert BROKEN
