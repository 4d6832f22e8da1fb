"""`dsp-batch gallery` as a command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from browsers import Watched, until
from click.testing import CliRunner
from gallery_cache import make_cache, make_row, write_run
from outcomes import run_here
from servers import S3Server

import dsp_batch
from dsp_batch.cache import open_cache
from dsp_batch.cli.batch import program
from dsp_batch.web.gallery import GalleryOptions, write_gallery


def test_the_command_prints_where_the_page_is(tmp_path: Path) -> None:
    make_cache(tmp_path, 4)

    outcome = run_here(program, "dsp-batch", "gallery", tmp_path, "--title", "Mine", "--hide", "patient_id, license")

    assert outcome.status == 0
    assert outcome.stdout == f"{tmp_path}/gallery/index.html\n"
    assert "<title>Mine</title>" in (tmp_path / "gallery/index.html").read_text()
    shard = json.loads((tmp_path / "gallery/data/series-000.json").read_text())
    assert not {"patient_id", "license"} & set(shard)


def test_the_page_is_all_there_when_it_is_written_elsewhere(tmp_path: Path) -> None:
    make_cache(tmp_path / "cache", 2)

    outcome = CliRunner().invoke(program, ["gallery", str(tmp_path / "cache"), "-o", str(tmp_path / "page"), "--copy"])
    assert outcome.exit_code == 0
    page = (tmp_path / "page/index.html").read_text()
    scripts = [part.split('"')[0].split("?")[0] for part in page.split('<script src="')[1:]]
    assert all((tmp_path / "page" / script).is_file() for script in scripts)
    assert not (tmp_path / "cache/gallery").exists()


def test_python_opens_a_gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    make_cache(tmp_path / "a cache", 3)

    gallery = dsp_batch.open_gallery(tmp_path / "a cache")
    assert opened == [(tmp_path / "a cache/gallery/index.html").as_uri()]
    assert gallery._repr_html_().startswith(f'<a href="{opened[0]}"')


def test_a_public_bucket_serves_its_gallery(s3_environment: S3Server, open_page: Callable[[str], Watched]) -> None:
    s3_environment.create_bucket("galleries", public=True)
    cache = open_cache("s3://galleries/cache")
    write_run(cache, [make_row(number) for number in range(3)])
    gallery = write_gallery(cache, GalleryOptions())
    assert gallery.url == "s3://galleries/cache/gallery/index.html"

    watched = open_page(f"{s3_environment.endpoint}/galleries/cache/gallery/index.html")
    until(watched.page, "document.querySelector('[role=gridcell] img')?.naturalWidth === 192")
    assert len(watched.hosts()) == 1
