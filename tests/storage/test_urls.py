from pathlib import Path

import pytest

from dsp_batch.errors import StorageError
from dsp_batch.storage.urls import local_path, normalise_root


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("s3://idc-open-data/", "s3://idc-open-data"),
        ("S3://bucket/a/b//", "s3://bucket/a/b"),
        ("gs://public-datasets-idc", "s3://idc-open-data"),
        ("gs://idc-open-idc1/", "s3://idc-open-data-two"),
        ("gs://idc-open-cr/x", "s3://idc-open-data-cr/x"),
        ("gs://private/x", "gs://private/x"),
        ("https://Host.Example/A%20b/", "https://host.example/A%20b"),
        ("az://container/p/", "az://container/p"),
        ("file:///data/a%20b/", "/data/a b"),
        ("/data//x/", "/data/x"),
    ],
)
def test_a_root_has_one_form(text: str, root: str) -> None:
    assert normalise_root(text) == root
    assert normalise_root(root) == root


def test_relative_paths_and_the_home_folder_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert normalise_root("./d") == normalise_root("d/") == normalise_root("~/d") == f"{tmp_path}/d"


def test_a_parent_behind_a_symbolic_link_is_the_parent_of_its_target(tmp_path: Path) -> None:
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "inner")

    assert normalise_root(f"{tmp_path}/link/../x") == f"{tmp_path}/real/x"


@pytest.mark.parametrize("text", ["", "  ", "s3://", "https://host/../x", "s3://b/a/../c", "/d\n", "https://h/x?k=1"])
def test_what_is_no_root_is_refused(text: str) -> None:
    with pytest.raises(StorageError):
        normalise_root(text)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(StorageError) as caught:
        normalise_root("https://ann:hunter2@host/data")

    assert "hunter2" not in caught.value.message


def test_only_local_roots_have_a_path() -> None:
    assert local_path("file:///d/x") == Path("/d/x")
    assert local_path("s3://d/x") is None
