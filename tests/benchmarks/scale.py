"""What a run of a million series comes to: simulated at full size, and measured on tiny series in great number.

    python tests/benchmarks/scale.py --series 20000 --count 1000
    python tests/benchmarks/scale.py --only simulation --index
    python tests/benchmarks/scale.py --json figures.json --write-docs
    python tests/benchmarks/scale.py --from figures.json --write-docs

Whole, it takes an hour of one core. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # servers.py, which the tests use too

from bench_tables import describe_machine, write_page
from scale_dask import measure_dask
from scale_real import measure_real
from scale_state import measure_state
from scale_tables import PAGE, format_figures
from simulation import run_simulation, write_drawn_collection, write_real_collection

_ALL = 1_044_191
_WORKERS = (16, 256, 4096)
_PARTITION = 5_500.0
"""GET requests a second that S3 promises for one prefix."""

_PARTITIONS = 16
"""Of the case with a limit: one for each first digit of a UUID."""

_PARTS = ("dask", "simulation", "state", "real")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Simulate a million series, and run many tiny ones.")
    parser.add_argument("--only", action="append", choices=_PARTS, help="a part; repeat it; default: all")
    parser.add_argument(
        "--series", type=int, default=_ALL, help="series of the simulation, and of the run that is looked up"
    )
    parser.add_argument("--index", action="store_true", help="simulate the IDC index that is installed, in its order")
    parser.add_argument("--workers", type=int, action="append", help="workers to simulate; repeat it")
    parser.add_argument("--count", type=int, default=20_000, help="tiny series that are really run")
    parser.add_argument("--seed", type=int, default=1, help="decides all that is drawn")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--from", type=Path, metavar="FILE", dest="earlier", help="take other parts from such a file")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/explanation/scale.md")
    parser.add_argument("--folder", type=Path, help="where to make the temporary folder (1 GB)")
    return parser.parse_args()


def _simulate(folder: Path, arguments: argparse.Namespace, dask: Mapping[str, float]) -> dict[str, Any]:
    """The cases of the page: numbers of workers, a bucket with a limit, a client that is killed."""
    _say("drawing the collection")
    if arguments.index:
        write_real_collection(folder)
    else:
        write_drawn_collection(folder, arguments.series, arguments.seed)
    names = ("shard_seconds", "series_seconds", "client_shard_seconds", "client_series_seconds", "heartbeat_seconds")
    costs = {name: dask[name] for name in names if name in dask} | {"seed": arguments.seed}
    cases = {}
    workers = arguments.workers or _WORKERS
    for count in workers:
        cases[f"{count} workers"] = {"workers": count}
    limit = _PARTITIONS * _PARTITION
    cases[f"{workers[-1]} workers, {limit:,.0f} requests/s"] = {"workers": workers[-1], "requests_per_second": limit}
    figures = {}
    for title, conditions in cases.items():
        _say(title)
        figures[title] = run_simulation(folder, {**costs, **conditions}) | {"workers": conditions["workers"]}
    middle = workers[len(workers) // 2]
    whole = figures[f"{middle} workers"]["makespan"]
    share = 0.3 + 0.4 * (arguments.seed * 0.618 % 1)  # a moment that nothing chooses but the seed
    _say(f"{middle} workers, the client killed")
    killed = run_simulation(folder, {**costs, "workers": middle, "kill_at": share * whole})
    return {
        "cases": figures,
        "killed": killed | {"workers": middle, "share": share, "undisturbed": f"{middle} workers"},
    }


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def main() -> None:
    """Measure or simulate what is asked, and report."""
    arguments = _parse_arguments()
    figures: dict[str, Any] = json.loads(arguments.earlier.read_text()) if arguments.earlier else {}
    parts = arguments.only or (() if arguments.earlier else _PARTS)
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="dsp-batch-scale-") as name:
        folder = Path(name)
        if parts:
            figures["machine"] = describe_machine()
        if "dask" in parts:
            _say("what Dask costs")
            figures["dask"] = measure_dask(folder / "dask")
        if "simulation" in parts:
            figures["simulation"] = _simulate(folder / "simulation", arguments, figures.get("dask", {}))
        if "state" in parts:
            _say("what a run keeps")
            figures["state"] = measure_state(folder / "state", arguments.series)
        if "real" in parts:
            _say(f"{arguments.count} tiny series")
            figures["real"] = measure_real(folder / "real", arguments.count, 2, arguments.seed)
    text = format_figures(figures)
    sys.stdout.write(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if arguments.write_docs:
        write_page(text, PAGE)


if __name__ == "__main__":
    main()
