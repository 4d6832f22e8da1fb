"""Simulated runs, each in a process of its own: the collection is drawn once, and passed for the IDC index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from idc_shape import draw_collection, read_shape

_PACKAGE = """from pathlib import Path

IDC_INDEX_PARQUET_FILEPATH = Path(__file__).parents[2] / "index.parquet"
"""

Case = tuple[Mapping[str, Any], Mapping[str, Any]]
"""Conditions and storage of a simulation."""


def write_drawn_collection(folder: Path, series: int, seed: int) -> None:
    """Draw a collection of the shape of IDC, and write its manifest and its index."""
    _write_collection(folder, draw_collection(read_shape(), series, seed))


def write_real_collection(folder: Path) -> None:
    """Take the index that is installed, in its own order."""
    import idc_index_data

    _write_collection(folder, pq.read_table(idc_index_data.IDC_INDEX_PARQUET_FILEPATH))


def _write_collection(folder: Path, table: pa.Table) -> None:
    package = folder / "packages" / "idc_index_data"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(_PACKAGE)
    pq.write_table(table, folder / "index.parquet", row_group_size=131_072)
    names = zip(table.column("aws_bucket").to_pylist(), table.column("crdc_series_uuid").to_pylist(), strict=True)
    (folder / "manifest.txt").write_text("".join(f"cp s3://{bucket}/{uuid}/* .\n" for bucket, uuid in names))


def run_simulation(
    folder: Path, conditions: Mapping[str, Any], storage: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Simulate a run over the collection of a folder, in a process of its own.

    Args:
        folder: As the functions above leave it.
        conditions: Fields of `simulated_work.Conditions`.
        storage: Fields of `simulate.Storage`.

    Returns:
        Its figures, as `simulate.simulate` gives them.
    """
    (figures,) = run_simulations(folder, [(conditions, storage or {})])
    return figures


def run_simulations(folder: Path, cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Simulate several runs in one process, each with a new cache directory: `run_simulation` tells the rest."""
    path = os.pathsep.join([str(folder / "packages"), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path}
    with tempfile.TemporaryDirectory(dir=folder, prefix="cache-") as cache:
        requests = [
            {"folder": str(folder), "cache": f"{cache}/{number}", "conditions": conditions, "storage": storage}
            for number, (conditions, storage) in enumerate(cases)
        ]
        command = [sys.executable, str(Path(__file__).with_name("simulate.py")), json.dumps(requests)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: list[dict[str, Any]] = json.loads(done.stdout)
    return figures
