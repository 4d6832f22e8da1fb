"""Runs on a simulated cluster, and the collection that they run over."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from idc_shape import draw_collection, read_shape
from simulation import Case, run_simulation, run_simulations, write_drawn_collection

SERIES = 2000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulation")
    write_drawn_collection(folder, SERIES, seed=5)
    return folder


Figures = dict[str, Any]

CALM = {"workers": 8, "deaths_per_hour": 0.0}
SAFE = {"killing_share": 0.0}
SEEDED: Case = ({"workers": 16, "deaths_per_hour": 20.0, "seed": 3}, {})


@pytest.fixture(scope="module")
def simulated(folder: Path) -> dict[str, Figures]:
    """Runs that need nothing of each other, in one process."""
    cases: dict[str, Case] = {
        "calm": (CALM, SAFE),
        "seeded": SEEDED,
        "harsh": ({"workers": 8, "deaths_per_hour": 60.0, "seconds_to_replace": 5.0}, {}),
        "poisoned": ({**CALM, "seconds_to_replace": 5.0}, {"killing_share": 2e-3}),
    }
    return dict(zip(cases, run_simulations(folder, list(cases.values())), strict=True))


@pytest.fixture(scope="module")
def calm(simulated: dict[str, Figures]) -> Figures:
    """A run that nothing happens to."""
    return simulated["calm"]


@pytest.fixture(scope="module")
def held_up(folder: Path, calm: Figures) -> dict[str, Figures]:
    """Runs that know how the calm one went, in another process."""
    cases: dict[str, Case] = {
        "seeded": SEEDED,
        "killed": ({**CALM, "kill_at": calm["makespan"] / 2}, SAFE),
        "slowed": ({**CALM, "requests_per_second": limit_of(calm)}, SAFE),
    }
    return dict(zip(cases, run_simulations(folder, list(cases.values())), strict=True))


def limit_of(calm: Figures) -> float:
    """Half as many requests a second as there were."""
    return float(0.5 * calm["requests"] / calm["makespan"])


def without_clocks(figures: dict[str, Any]) -> dict[str, Any]:
    measured = ("client_cpu", "client_peak_bytes", "seconds_of_simulation")
    return {name: value for name, value in figures.items() if name not in measured}


def test_a_simulated_run_accounts_for_every_series_and_every_request(calm: Figures) -> None:
    assert calm["series"] == sum(calm["by_status"].values()) == SERIES
    assert calm["requests_of_rows"] == calm["requests"]
    assert calm["deaths"] == calm["lost_seconds"] == 0


def test_workers_do_no_more_than_they_have_time_for(calm: Figures) -> None:
    assert 0.5 < calm["series_seconds"] / (8 * calm["makespan"]) <= 1


def test_the_same_seed_gives_the_same_run(simulated: dict[str, Figures], held_up: dict[str, Figures]) -> None:
    first, second = simulated["seeded"], held_up["seeded"]

    assert first["deaths"] > 0
    assert without_clocks(first) == without_clocks(second)


def test_workers_that_die_cost_time_and_no_series(simulated: dict[str, Figures]) -> None:
    harsh, calm = simulated["harsh"], simulated["calm"]

    assert harsh["lost_seconds"] > 0
    assert harsh["by_status"] == calm["by_status"]
    assert harsh["requests"] == calm["requests"]


def test_series_that_kill_workers_are_the_only_ones_that_fail_of_it(simulated: dict[str, Figures]) -> None:
    poisoned, calm = simulated["poisoned"], simulated["calm"]

    died = poisoned["by_reason"]["worker-died"]
    assert died > 0
    assert poisoned["by_status"]["done"] == calm["by_status"]["done"] - died


def test_a_killed_client_makes_little_again(held_up: dict[str, Figures], calm: Figures) -> None:
    killed = held_up["killed"]

    assert killed["attempts"] == 2
    assert killed["by_status"] == calm["by_status"]
    assert 0 < killed["previews_at_kill"] < calm["by_status"]["done"]
    # Not more than the shard that each worker had in hand, and the rows of five seconds.
    again = killed["series_seconds"] + killed["lost_seconds"] - calm["series_seconds"]
    assert killed["lost_seconds"] > 0
    assert again < 8 * (10 + 5)


def test_a_bucket_with_a_limit_is_asked_no_faster(held_up: dict[str, Figures], calm: Figures) -> None:
    slowed = held_up["slowed"]

    assert slowed["makespan"] >= slowed["requests"] / limit_of(calm)
    assert slowed["by_status"] == calm["by_status"]


def test_the_drawn_collection_has_the_shape_of_idc() -> None:
    table = draw_collection(read_shape(), 60_000, seed=2).to_pandas()
    share = 60_000 / 1_044_191

    objects, modality = table["instanceCount"], table["Modality"]
    assert (objects == 1).mean() == pytest.approx(0.55, abs=0.02)
    assert objects.sum() == pytest.approx(58.8e6 * share, rel=0.05)
    assert table["series_size_MB"].sum() == pytest.approx(99.9e6 * share, rel=0.02)
    assert table["crdc_series_uuid"].is_unique
    for name, series, median, high in (
        ("CT", 270_830, 122, 650),
        ("MR", 128_143, 63, 992),
        ("SEG", 193_295, 1, 5),
        ("SM", 76_300, 5, 7),
        ("MG", 48_128, 1, 57),
    ):
        drawn = objects[modality == name]
        assert len(drawn) == pytest.approx(series * share, rel=0.02)
        assert np.median(drawn) == pytest.approx(median, rel=0.1)
        assert drawn.quantile(0.99) == pytest.approx(high, rel=0.1)


def test_a_run_waits_for_workers_that_come_back_in_time(
    folder: Path, calm: Figures, capfd: pytest.CaptureFixture[str]
) -> None:
    lonely = run_simulation(folder, {"workers": 1, "deaths_per_hour": 4.0, "seconds_to_replace": 40.0})

    said = capfd.readouterr().err.splitlines()
    assert lonely["deaths"] > 0
    assert lonely["by_status"].keys() == calm["by_status"].keys()
    assert sum(lonely["by_status"].values()) == SERIES
    assert "all workers of tcp://10.0.0.1:8786 are gone: the run waits up to 60 s for one" in said[0]
    gone, back = (sum(part in line for line in said) for part in ("are gone", "there are workers again"))
    assert gone == back


def test_a_run_ends_when_no_worker_comes_back(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lonely = {"workers": 1, "deaths_per_hour": 4.0, "seconds_to_replace": 1e6}

    with pytest.raises(subprocess.CalledProcessError):
        run_simulation(folder, lonely)

    message = capfd.readouterr().err.splitlines()[-1]
    assert re.search(
        r"DspBatchError: all workers of tcp://\S+ have been gone for 6\d s: start .* repeat the same", message
    )
