"""Tiny series in great number through a real scheduler and real workers, the client killed on the way."""

from __future__ import annotations

from pathlib import Path

from scale_cluster import (
    Sample,
    draw_moment,
    growth_per_series,
    open_cluster,
    open_collection,
    run_and_kill,
    run_client,
    second_half,
)

from dsp_batch.cache import open_cache

_REQUESTS = {0: 2, 1: 3, 2: 4}
"""Series number modulo three → its requests: a listing, and one for each object, which is small."""

_MEASURES = ("scheduler_bytes", "client_bytes", "worker_bytes", "scheduler_cpu", "client_cpu")


def measure_real(folder: Path, count: int, workers: int, seed: int) -> dict[str, float]:
    """Run series, kill the client with -9 at a random moment, and go on to the end.

    Returns:
        What was made again, and what scheduler, client and worker grow by in the second half of what was left.
    """
    with open_collection(folder, count) as collection, open_cluster(folder / "cluster", workers) as cluster:
        cache = open_cache(str(folder / "cache"))
        killed = run_and_kill(draw_moment(seed), collection, cluster, cache)
        samples = run_client(collection, cluster, cache)
        requests = collection.count_requests()
    least = sum(_REQUESTS[number % 3] for number in range(count))
    return {
        "series": count,
        "workers": workers,
        "killed_at": killed.series,
        "without_row": killed.without_row,
        "requests": requests,
        "requests_at_least": least,
        "share_again": requests / least - 1,
        **_describe(samples),
    }


def _describe(samples: list[Sample]) -> dict[str, float]:
    half = second_half(samples)
    first, last = half[0], half[-1]
    figures = {f"{name}_per_series": growth_per_series(half, name) for name in _MEASURES}
    for name in _MEASURES[:3]:
        figures |= {f"{name}_first": getattr(first, name), f"{name}_last": getattr(last, name)}
    return figures | {"series_of_half": last.series - first.series, "seconds_of_half": last.seconds - first.seconds}
