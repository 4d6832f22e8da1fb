"""However series are spread over folders, a batch draws each as alone, and never two patients on a sheet."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from data_folder import DATA, list_objects, needs_data
from distributed import LocalCluster
from folder_layouts import SERIES, read_uid, rewrite

from dsp_batch import ClusterOptions, MosaicOptions, open_cache, preview, read_results, run_batch

pytestmark = needs_data
SHARED, OTHER = [name for name, count in SERIES.items() if count == 4]
"""Two series: in each tree some instances of the second have the SeriesInstanceUID of the first, as of its patient."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterOptions]:
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as local:
        yield ClusterOptions(scheduler=local.scheduler_address)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, bytes]:
    """Folder of one series → its picture. The last one claims the SeriesInstanceUID of another patient's series."""
    folder = tmp_path_factory.mktemp("alone")
    for name in SERIES:
        shutil.copytree(DATA / "series" / name, folder / name)
    claims = folder / "claims"
    shutil.copytree(DATA / "series" / OTHER, claims)
    for path in list_objects(claims):
        rewrite(path, SeriesInstanceUID=read_uid(SHARED), PatientID="ZZZ", PatientName="ELSE^SOMEBODY")
    return {path: bytes(preview(path, MosaicOptions()).data) for path in sorted(folder.iterdir())}


def _spread(series: dict[Path, bytes], tree: Path, chance: random.Random) -> int:
    """Spread the instances of all series over random folders, with files beside them that are no instances."""
    names = ["", *("/".join(chance.choices(["CT 1", "CT 2", "ä", "x"], k=chance.randint(1, 4))) for _ in range(5))]
    count = 0
    for folder in series:
        for path in list_objects(folder):
            target = tree / chance.choice(names) / f"IM{chance.getrandbits(48):x}{chance.choice(['', '.dcm'])}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            count += 1
    (tree / "DICOMDIR").write_bytes(b"lies")
    return count


@pytest.mark.parametrize("seed", range(4))
def test_the_pictures_of_a_batch_are_those_of_its_series_alone(
    tmp_path: Path, cluster: ClusterOptions, alone: dict[Path, bytes], seed: int
) -> None:
    count = _spread(alone, tmp_path / "tree", random.Random(seed))
    cache = open_cache(tmp_path / "cache")

    summary = run_batch(tmp_path / "tree", MosaicOptions(), cache=cache, cluster=cluster)

    assert (summary.by_status, summary.succeeded) == ({"done": len(alone)}, True)
    drawn = [path.read_bytes() for path in (tmp_path / "cache" / "previews").rglob("*.webp")]
    assert sorted(drawn) == sorted(alone.values())
    rows = read_results(cache, summary.run).to_pylist()
    assert sum(row["n_instances"] for row in rows) == count
    shared = [row for row in rows if row["series_instance_uid"] == read_uid(SHARED)]
    assert len({row["patient_id"] for row in shared}) == len(shared) == 2
