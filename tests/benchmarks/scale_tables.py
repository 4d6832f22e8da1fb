"""The figures of scale as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench_tables import format_table

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "scale.md"

_PARTITION = 5_500


_REAL = {
    "scheduler_bytes": "scheduler",
    "client_bytes": "client",
    "worker_bytes": "the larger worker",
}

_QUESTIONS = {
    "find own": "the same command again: what is there",
    "find other": "another manifest, the same previews: what is there, with the rows that tell of it",
    "status": "`dsp-batch status`",
    "summarize": "the end of the run: parts compacted, summary, failed.txt",
    "summarize again": "the same when all parts are compact",
}


def format_figures(figures: Mapping[str, Any]) -> str:
    """Every part that there is."""
    parts = []
    if "machine" in figures:
        parts.append("Measured: " + "; ".join(f"{name} {value}" for name, value in figures["machine"].items()) + ".")
    if "simulation" in figures:
        parts += _format_simulation(figures["simulation"], figures.get("dask", {}))
    if "state" in figures:
        parts += ["### What a run keeps, looked up and summarized", _format_state(figures["state"])]
    if "dask" in figures:
        parts += ["### What Dask costs, measured", _format_dask(figures["dask"])]
    if "real" in figures:
        parts += ["### Tiny series in great number, measured", _format_real(figures["real"])]
    return "\n\n".join(parts) + "\n"


def _format_simulation(simulation: Mapping[str, Any], dask: Mapping[str, float]) -> list[str]:
    cases = simulation["cases"]
    return [
        "### Simulated runs",
        f"Of {next(iter(cases.values()))['series']:,} series each.",
        _format_cases(cases),
        "### Client and scheduler",
        _format_client(cases, dask),
        *_format_killed(simulation),
    ]


def _format_cases(cases: Mapping[str, Mapping[str, Any]]) -> str:
    head = [
        "",
        "makespan",
        "tail",
        "core-hours of work",
        "workers busy",
        "requests/s, mean",
        "peak",
        "prefixes at the mean",
        "workers lost",
        "result parts",
    ]
    rows = []
    for title, case in cases.items():
        mean = case["requests"] / case["makespan"]
        rows.append(
            [
                title,
                _duration(case["makespan"]),
                _duration(case["tail"]),
                f"{case['series_seconds'] / 3600:,.0f}",
                f"{case['series_seconds'] / case['makespan'] / case['workers']:.0%}",
                f"{mean:,.0f}",
                f"{case['peak_rate']:,.0f}",
                f"{mean / _PARTITION:,.1f}",
                f"{case['deaths']:,}",
                f"{case['parts']:,}",
            ]
        )
    return format_table(head, rows)


def _format_client(cases: Mapping[str, Mapping[str, Any]], dask: Mapping[str, float]) -> str:
    head = [
        "",
        "shards",
        "series a shard",
        "in flight",
        "of series",
        "client CPU, s",
        "and ms a series",
        "scheduler CPU, s",
        "and of the time",
        "longest wait for it",
        "client's memory, MB",
        "scheduler's, in flight, MB",
    ]
    rows = []
    for title, case in cases.items():
        client = sum(case["client_cpu"].values())
        waiting = case["most_in_flight"] * dask.get("shard_bytes", 0) + case["most_series_in_flight"] * dask.get(
            "series_bytes", 0
        )
        worked = case["series"] - case["by_status"].get("skipped", 0)
        rows.append(
            [
                title,
                f"{case['shards']:,}",
                f"{worked / case['shards']:.1f}",
                f"{case['most_in_flight']:,}",
                f"{case['most_series_in_flight']:,}",
                f"{client:,.0f}",
                f"{client / case['series'] * 1e3:.2f}",
                f"{case['scheduler_seconds']:,.0f}",
                f"{case['scheduler_seconds'] / case['makespan']:.0%}",
                _duration(case["longest_queue"]),
                f"{case['client_peak_bytes'] / 1e6:,.0f}",
                f"{waiting / 1e6:,.0f}",
            ]
        )
    return format_table(head, rows)


def _format_killed(simulation: Mapping[str, Any]) -> list[str]:
    if "killed" not in simulation:
        return []
    killed = simulation["killed"]
    whole = simulation["cases"][killed["undisturbed"]]
    work = killed["series_seconds"] + killed["lost_seconds"] - whole["series_seconds"] - whole["lost_seconds"]
    rows = [
        ["workers", f"{killed['workers']:,}"],
        ["killed after this part of the time", f"{killed['share']:.0%}"],
        ["previews that were there", f"{killed['previews_at_kill']:,}"],
        ["of these without a row, and made again", f"{killed['without_row']:,}"],
        ["worker time more than undisturbed", f"{work / whole['series_seconds']:.2%}"],
        ["requests more than undisturbed", f"{killed['requests'] / whole['requests'] - 1:.2%}"],
        ["client CPU to find out what is there, s", f"{killed['client_cpu']['state']:.1f}"],
    ]
    return ["### The client killed, and the same command again", format_table(["", ""], rows)]


def _format_dask(dask: Mapping[str, float]) -> str:
    rows = [
        ["scheduler, a shard", f"{dask['shard_seconds'] * 1e3:.2f} ms", f"{dask['shard_bytes'] / 1e3:.1f} KB"],
        ["and for each series of it", f"{dask['series_seconds'] * 1e3:.3f} ms", f"{dask['series_bytes'] / 1e3:.2f} KB"],
        [
            "client, a shard",
            f"{dask['client_shard_seconds'] * 1e3:.2f} ms",
            f"{dask['client_shard_bytes'] / 1e3:.1f} KB",
        ],
        ["and for each series of it", f"{dask['client_series_seconds'] * 1e3:.3f} ms", ""],
        [
            "scheduler, a sign of life of a worker",
            f"{dask['heartbeat_seconds'] * 1e3:.2f} ms",
            f"{dask['worker_bytes'] / 1e3:.0f} KB a worker",
        ],
    ]
    return format_table(["", "CPU", "memory while in flight"], rows)


def _format_state(state: Mapping[str, Mapping[str, float]]) -> str:
    rows = [
        [title, f"{state[name]['cpu']:.0f} s", f"{state[name]['bytes'] / 1e6:,.0f} MB"]
        for name, title in _QUESTIONS.items()
    ]
    told = (
        f"{state['summarize']['series']:,.0f} rows in {state['summarize']['parts']:,.0f} parts as a run of "
        f"{state['summarize']['seconds_of_run'] / 3600:.1f} hours writes them, as many previews (empty files), one "
        "process for each question; memory above what it had before."
    )
    return f"{told}\n\n{format_table(['', 'CPU', 'memory at the peak'], rows)}"


def _format_real(real: Mapping[str, float]) -> str:
    killed = (
        f"{real['series']:,} series of one to three objects on {real['workers']} workers; the client was killed with "
        f"-9 when {real['killed_at']:,} previews were there, {real['without_row']:,} of them without a row. "
        f"{real['requests']:,} requests in all, {real['requests_at_least']:,} are the least: "
        f"{real['share_again']:.2%} more."
    )
    half = (
        f"From the middle of the second attempt to its end: {real['series_of_half']:,} series, scheduler "
        f"{real['scheduler_cpu_per_series'] * 1e3:.2f} and client "
        f"{real['client_cpu_per_series'] * 1e3:.2f} ms CPU a series."
    )
    rows = [
        [
            title,
            f"{real[f'{name}_first'] / 1e6:.1f}",
            f"{real[f'{name}_last'] / 1e6:.1f}",
            f"{real[f'{name}_per_series']:,.0f}",
        ]
        for name, title in _REAL.items()
    ]
    table = format_table(["", "MB at first", "MB at last", "bytes a series"], rows)
    return f"{killed}\n\n{half}\n\n{table}"


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 3600:.2f} h"
