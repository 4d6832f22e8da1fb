"""A Dask cluster of processes that tests of failures share, and what several tests read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from complete_runs import draw_undisturbed
from failing_cluster import FailingCluster, run_failing_cluster
from idc_tables import write_index
from manifest_reading import NO_INDEX
from phantom_bulk import build_many
from servers import S3Server

from dsp_batch.batch.manifest.lookup import Lookup
from dsp_batch.phantom.series import write_collection


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server) -> Iterator[FailingCluster]:
    """One cluster for all tests that leave its workers alive."""
    keys = {"AWS_ACCESS_KEY_ID": s3_server.key, "AWS_SECRET_ACCESS_KEY": s3_server.secret}
    with run_failing_cluster(tmp_path_factory.mktemp("cluster"), environment=keys) as cluster:
        yield cluster


@pytest.fixture
def failing_cluster(shared_cluster: FailingCluster) -> Iterator[FailingCluster]:
    """The shared cluster; nothing is told to its workers yet."""
    yield shared_cluster
    for path in shared_cluster.told.iterdir():
        path.unlink()


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of thirty small series, which no test writes to."""
    folder = tmp_path_factory.mktemp("phantoms")
    write_collection(folder, build_many(30))
    return folder


@pytest.fixture(scope="session")
def undisturbed(phantoms: Path) -> dict[str, bytes]:
    """The previews that these series must have, whatever happens on the way."""
    return draw_undisturbed(phantoms, [path.name for path in phantoms.iterdir()])


@pytest.fixture
def indexed(tmp_path: Path) -> Lookup:
    """A small IDC index, and stores of this process."""
    folder = tmp_path / "index"
    folder.mkdir()
    return Lookup(index=write_index(folder), store_of=NO_INDEX.store_of, scan=NO_INDEX.scan)
